"""Grad-CAM and Grad-CAM++: where in an image a network sees a class."""

from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.analysis.layers import check_layer, layer_outputs, layer_shapes
from cnnlab.analysis.scores import class_scores
from cnnlab.errors import UserError
from cnnlab.models import Network, Segmenter


def grad_cam(
    model: Network,
    variables: Any,
    images: jax.Array,
    targets: jax.Array,
    *,
    layer: str | None = None,
    plus_plus: bool = False,
    pixels: jax.Array | None = None,
) -> jax.Array:
    """The weighted sum of a layer's channels that speaks for a class, at each of its positions.

    Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2): relu(sum_k w_k A_k), where A_k
    is channel k of the layer's maps and w_k the mean over positions of the score's gradient with
    respect to it. Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063, eq. 11 and 19): w_k is
    the sum over positions of a_k relu(g_k), with the gradient g and
    a = g^2 / (2 g^2 + sum(A) g^3). The paper takes the exponential of the score, which multiplies
    an image's whole map by one number; it is left out here.

    Args:
      model: see `Network`.
      variables: as `model.init` gives them.
      images: normalised float images [batch, height, width, channels].
      targets: the class to explain, integers [batch].
      layer: one of `layer_shapes` that gives maps. None takes the backbone's coarsest map or, where
        that has one position alone, the last layer of the backbone that has more.
      plus_plus: weigh as Grad-CAM++ does.
      pixels: of segmentation, the pixels whose class is explained; see `class_scores`.

    Returns:
      float32 [batch, rows, columns] of the layer, not negative; see `upsample`.

    Raises:
      UserError: a network without maps that have positions, or no such layer.
    """
    features = model.apply(variables, images, method="features")
    if layer is None and features[-1].shape[1] * features[-1].shape[2] == 1:
        layer = _last_with_positions(layer_shapes(model, variables, images.shape[1:]))
    elif layer is not None:
        check_layer(layer, layer_shapes(model, variables, images.shape[1:]))

    if layer is None:
        maps = features[-1]

        def score(maps: jax.Array) -> jax.Array:
            logits = _apply_head(model, variables, (*features[:-1], maps), images)
            return class_scores(logits, targets, pixels).sum()

        gradients = jax.grad(score)(maps)
    else:
        shapes = jax.eval_shape(lambda: layer_outputs(model, variables, images)[1][layer])

        def score(probe: jax.Array) -> tuple[jax.Array, jax.Array]:
            logits, outputs = layer_outputs(model, variables, images, probes={layer: probe})
            return class_scores(logits, targets, pixels).sum(), outputs[layer]

        gradients, maps = jax.grad(score, has_aux=True)(jnp.zeros(shapes.shape, shapes.dtype))
    maps, gradients = maps.astype(jnp.float32), gradients.astype(jnp.float32)
    weights = _plus_plus(maps, gradients) if plus_plus else gradients.mean(axis=(1, 2))
    return jax.nn.relu(jnp.einsum("bhwc,bc->bhw", maps, weights, precision="highest"))


def upsample(heat: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Brings maps [batch, rows, columns] to [batch, *size], bilinearly, each scaled to reach 1.

    A map of zeros stays as it is.
    """
    heat = jax.image.resize(heat, (heat.shape[0], *size), "linear")
    peak = heat.max(axis=(1, 2), keepdims=True)
    return heat / jnp.where(peak > 0, peak, 1.0)


def _plus_plus(maps: jax.Array, gradients: jax.Array) -> jax.Array:
    squares = gradients**2
    below = 2 * squares + maps.sum(axis=(1, 2), keepdims=True) * gradients**3
    shares = jnp.where(below != 0, squares / jnp.where(below != 0, below, 1.0), 0.0)
    return (shares * jax.nn.relu(gradients)).sum(axis=(1, 2))


def _apply_head(
    model: Network, variables: Any, features: tuple[jax.Array, ...], images: jax.Array
) -> jax.Array:
    """Logits from feature maps; the head of a segmentation network is given the images too."""
    extra = (images,) if isinstance(model, Segmenter) else ()
    return model.apply(
        variables, features, method=lambda m, f: m.head(f, *extra, train=False)
    ).astype(jnp.float32)


def _last_with_positions(shapes: dict[str, tuple[int, ...]]) -> str:
    for name, shape in reversed(shapes.items()):
        if name.startswith("backbone/") and len(shape) == 3 and shape[0] * shape[1] > 1:
            return name
    raise UserError(
        "Grad-CAM needs feature maps with positions, and no layer of this network has any: see "
        "integrated_gradients or occlusion."
    )
