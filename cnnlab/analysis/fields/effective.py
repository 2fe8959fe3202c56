"""Effective receptive fields: how strongly each pixel influences one position of a layer.

Luo et al. 2016, "Understanding the effective receptive field in deep convolutional neural
networks", arXiv:1701.04128: within the theoretical field the influence decreases like a Gaussian,
so most of the field has little influence.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.analysis.fields.theoretical import layers_and_maps
from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import Network

# A pixel counts where its influence is above that of two standard deviations of a Gaussian (sec.
# 3.1 of the paper).
_THRESHOLD = 1.0 - 0.9545


def effective_receptive_field(
    model: Network,
    variables: Any,
    images: jax.Array,
    layer: str,
    position: tuple[int, int] | None = None,
) -> np.ndarray:
    """Mean absolute gradient of one position of a layer, summed over its channels.

    Args:
      model: any network on images, applied in evaluation mode.
      variables: variables of the model, trained or not.
      images: normalised float images [batch, height, width, channels]; absolute gradients are
        averaged over them.
      layer: name of a layer from `cnnlab.analysis.receptive_fields`.
      position: row and column in the layer's map; None uses the center.

    Returns:
      float32 [height, width] with maximum 1, or zeros if no pixel has influence.

    Raises:
      UserError: there is no such layer or position.
    """
    shapes = jax.eval_shape(lambda v, x: layers_and_maps(model, v, x), variables, images)
    if layer not in shapes:
        raise UserError(f"The network has no layer '{layer}'.{did_you_mean(layer, shapes)}")
    extent = shapes[layer].shape[1:-1]
    position = tuple(size // 2 for size in extent) if position is None else tuple(position)
    if len(position) != len(extent) or any(
        not 0 <= at < size for at, size in zip(position, extent, strict=True)
    ):
        raise UserError(f"Layer '{layer}' has {extent} positions; there is none at {position}.")

    def total(images: jax.Array) -> jax.Array:
        # Images do not meet in evaluation, so the gradient of the sum is that of each.
        output = layers_and_maps(model, variables, images)[layer]
        return output[(slice(None), *position)].astype(jnp.float32).sum()

    gradients = jax.jit(jax.grad(total))(images)
    influence = np.abs(np.asarray(gradients, np.float32)).sum(axis=-1).mean(axis=0)
    return influence / max(influence.max(), np.finfo(np.float32).tiny)


def effective_size(influence: np.ndarray) -> float:
    """Side in pixels of a square with as many pixels as have non-negligible influence.

    Args:
      influence: result of `effective_receptive_field`.
    """
    return math.sqrt(np.count_nonzero(influence > _THRESHOLD * influence.max()))
