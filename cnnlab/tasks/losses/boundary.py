"""Cross-entropy that counts pixels near a boundary more."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.tasks.losses.cross_entropy import pixel_losses
from cnnlab.tasks.losses.pixels import IGNORE, ClassWeights, mean_over_pixels, pixels_of


def boundary(
    logits: jax.Array,
    labels: jax.Array,
    *,
    weight: jax.Array | None = None,
    width: int = 3,
    extra: float = 4.0,
    class_weights: ClassWeights = None,
    ignore: int = IGNORE,
) -> jax.Array:
    """Mean of -weight log p(label) over the pixels of each example, [batch].

    Eq. 1 of the U-Net paper (Ronneberger et al. 2015, arXiv:1505.04597), divided by the number of
    pixels. Its weights need every object's distance to every pixel, which the host computes before
    (`unet_weight_map`). Without them, weights are computed here from the labels alone: 1 + extra
    within `width` pixels of another class, 1 elsewhere. They know no objects, so they do not part
    two that touch.

    Args:
      logits: [batch, height, width, classes]; one class means a sigmoid of labels 0 and 1.
      labels: integers [batch, height, width].
      weight: of each pixel, same shape; unset computes them from the labels.
      width: how near is near, in pixels.
      extra: how much more a pixel counts there.
      class_weights: how often a pixel counts besides, by its class.
      ignore: label of pixels that count for nothing.
    """
    pixels = pixels_of(logits, labels, ignore)
    if weight is None:
        weight = 1 + extra * near_another(labels, width, ignore)
    weight = weight.reshape(pixels.valid.shape)
    return mean_over_pixels(weight * pixel_losses(pixels), pixels, class_weights)


def near_another(labels: jax.Array, distance: int, ignore: int = IGNORE) -> jax.Array:
    """Whether another class is within `distance` pixels, bool of the shape of `labels`.

    Distance counts along rows and columns, the larger of both, so that a square window tells: it
    holds two classes if its largest label is not its smallest. Ignored pixels are no class.

    Args:
      labels: integers [batch, height, width].
      distance: in pixels.
      ignore: label of pixels that are no class.
    """
    labels = labels.astype(jnp.int32)
    bounds = np.iinfo(np.int32)
    largest = jnp.where(labels == ignore, bounds.min, labels)
    smallest = jnp.where(labels == ignore, bounds.max, labels)
    for axis in range(1, labels.ndim):  # a square window is a row of columns
        window = [1] * labels.ndim
        window[axis] = 2 * distance + 1
        strides = [1] * labels.ndim
        largest = jax.lax.reduce_window(
            largest, np.int32(bounds.min), jax.lax.max, window, strides, "SAME"
        )
        smallest = jax.lax.reduce_window(
            smallest, np.int32(bounds.max), jax.lax.min, window, strides, "SAME"
        )
    return (largest > smallest) & (labels != ignore)
