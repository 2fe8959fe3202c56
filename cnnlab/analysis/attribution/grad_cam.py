"""Grad-CAM and Grad-CAM++: which regions of an image support a class."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.analysis.attribution.scores import class_scores
from cnnlab.analysis.layers import check_layer, layer_outputs, layer_shapes
from cnnlab.errors import UserError
from cnnlab.models import Network, Segmenter


def grad_cam(
    model: nn.Module,
    variables: Any,
    images: jax.Array,
    targets: jax.Array,
    *,
    layer: str | None = None,
    plus_plus: bool = False,
    pixels: jax.Array | None = None,
) -> jax.Array:
    """Weighted sum of a layer's channels that supports a class, at each position.

    Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2): relu(sum_k w_k A_k), where A_k
    is channel k of the layer's maps and w_k the mean over positions of the score's gradient with
    respect to it. Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063, eq. 11 and 19): w_k is
    the sum over positions of a_k relu(g_k), with the gradient g and
    a = g^2 / (2 g^2 + sum(A) g^3). The paper uses the exponential of the score, which multiplies
    an image's whole map by one factor; it is omitted here.

    Args:
      model: a `Network`, or a plain module.
      variables: variables of the model, as from `model.init`.
      images: normalised float images [batch, height, width, channels].
      targets: the class to explain, integers [batch].
      layer: name from `layer_shapes` of a layer with maps. None uses the backbone's coarsest map
        or, if that has a single position, the backbone's last layer with more; for a plain
        module, its last layer with more.
      plus_plus: whether to use the weights of Grad-CAM++.
      pixels: for segmentation, bool [batch, height, width], the pixels to explain.

    Returns:
      float32 [batch, rows, columns] at the layer's resolution, at least 0; `upsample` enlarges
      them.

    Raises:
      UserError: no layer has maps with positions, or there is no such layer.
    """
    if layer is not None:
        check_layer(layer, layer_shapes(model, variables, images.shape[1:]))
    elif not isinstance(model, Network):
        layer = _last_with_positions(layer_shapes(model, variables, images.shape[1:]), "")
    features = model.apply(variables, images, method="features") if layer is None else ()
    if layer is None and features[-1].shape[1] * features[-1].shape[2] == 1:
        layer = _last_with_positions(layer_shapes(model, variables, images.shape[1:]), "backbone/")

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
    """Resizes maps [batch, rows, columns] bilinearly to [batch, *size], each scaled to maximum 1.

    Maps of zeros stay zero.
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
    """Logits from feature maps; the head of a segmentation network gets the images as well."""
    extra = (images,) if isinstance(model, Segmenter) else ()
    return model.apply(
        variables, features, method=lambda m, f: m.head(f, *extra, train=False)
    ).astype(jnp.float32)


def _last_with_positions(shapes: dict[str, tuple[int, ...]], prefix: str) -> str:
    for name, shape in reversed(shapes.items()):
        if name.startswith(prefix) and len(shape) == 3 and shape[0] * shape[1] > 1:
            return name
    raise UserError(
        "Grad-CAM needs feature maps with positions, and no layer of this network has any: see "
        "integrated_gradients or occlusion."
    )
