"""Cross-entropy of pixels."""

import jax
import jax.numpy as jnp

from cnnlab.tasks.losses.pixels import IGNORE, ClassWeights, Pixels, mean_over_pixels, pixels_of
from cnnlab.tracing import is_on


def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: ClassWeights = None,
    ignore: int = IGNORE,
) -> jax.Array:
    """Mean of -log p(label) over the pixels of each example, [batch], in nats.

    Args:
      logits: [batch, height, width, classes]; one class means a sigmoid of labels 0 and 1.
      labels: integers [batch, height, width].
      label_smoothing: share of the target spread evenly over the classes (Szegedy et al. 2016,
        arXiv:1512.00567, sec. 7).
      class_weights: factor of each class.
      ignore: label of pixels that are ignored.
    """
    pixels = pixels_of(logits, labels, ignore)
    return mean_over_pixels(pixel_losses(pixels, label_smoothing), pixels, class_weights)


def pixel_losses(pixels: Pixels, label_smoothing: float = 0.0) -> jax.Array:
    """-log p(label) of each pixel, [batch, pixels]."""
    log_p = pixels.log_probabilities
    # A sum over classes, not a gather: the gradient of that is a scatter, slow on every device.
    losses = -jnp.where(pixels.truth, log_p, 0.0).sum(-1)
    if is_on(label_smoothing):
        losses = (1 - label_smoothing) * losses - label_smoothing * log_p.mean(-1)
    return losses
