"""Cross-entropy with larger weights near boundaries."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.tasks.losses._cross_entropy import pixel_losses
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
    pixels. Its weights depend on the distances to single objects, which the host computes
    beforehand (`unet_weight_map`). Without them, weights are computed from the labels: 1 + extra
    within `width` pixels of another class, 1 elsewhere. They do not separate touching objects of
    one class.

    Args:
      logits: [batch, height, width, classes]; one class means a sigmoid of labels 0 and 1.
      labels: integers [batch, height, width].
      weight: weight of each pixel, same shape; None computes it from the labels.
      width: distance in pixels within which another class raises the weight.
      extra: additional weight of those pixels.
      class_weights: further factor of each class.
      ignore: label of pixels that are ignored.
    """
    pixels = pixels_of(logits, labels, ignore)
    if weight is None:
        weight = 1 + extra * near_another(labels, width, ignore)
    weight = weight.reshape(pixels.valid.shape)
    return mean_over_pixels(weight * pixel_losses(pixels), pixels, class_weights)


def near_another(labels: jax.Array, distance: int, ignore: int = IGNORE) -> jax.Array:
    """Whether another class is within `distance` pixels, bool of the shape of `labels`.

    The distance is the larger of those along rows and columns, so a square window decides: it
    holds two classes if its largest and smallest labels differ. Ignored pixels have no class.

    Args:
      labels: integers [batch, height, width].
      distance: distance in pixels.
      ignore: label of pixels that are ignored.
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
