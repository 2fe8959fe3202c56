"""Shared by the losses of segmentation: pixels as one axis, and means without ignored pixels."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

# The label of pixels that count for nothing.
IGNORE = 255

ClassWeights = Sequence[float] | None


class Pixels(NamedTuple):
    """A batch with all pixels on one axis.

    A single logit is the foreground's, with a background logit of 0: their softmax is the sigmoid,
    so binary segmentation is segmentation with two classes.

    Attributes:
      logits: float32 [batch, pixels, max(classes, 2)]; 0 where ignored.
      truth: bool, same shape: whether a pixel is of a class; false where ignored.
      valid: bool [batch, pixels]: whether a pixel is not ignored.
    """

    logits: jax.Array
    truth: jax.Array
    valid: jax.Array

    @property
    def log_probabilities(self) -> jax.Array:
        """Natural logarithm of the class probabilities, [batch, pixels, max(classes, 2)]."""
        return jax.nn.log_softmax(self.logits)


def pixels_of(logits: jax.Array, labels: jax.Array, ignore: int) -> Pixels:
    """Reshapes a batch for the losses.

    Args:
      logits: [batch, height, width, classes], or with one more axis for volumes; any float type.
      labels: integers [batch, height, width].
      ignore: label of pixels that are ignored, even if their logits are not finite.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"Logits of shape {logits.shape} do not fit labels of {labels.shape}.")
    batch, classes = logits.shape[0], logits.shape[-1]
    labels = labels.reshape(batch, -1).astype(jnp.int32)
    valid = labels != ignore
    # Before any function of them: its gradient at an infinite logit would be NaN, masked or not.
    logits = jnp.where(valid[..., None], logits.reshape(batch, -1, classes), 0).astype(jnp.float32)
    if classes == 1:
        logits = jnp.concatenate([jnp.zeros_like(logits), logits], axis=-1)
    truth = valid[..., None] & (labels[..., None] == jnp.arange(logits.shape[-1]))
    return Pixels(logits, truth, valid)


def mean_over_pixels(
    values: jax.Array, pixels: Pixels, class_weights: ClassWeights = None
) -> jax.Array:
    """Mean of `values` [batch, pixels] over each example's valid pixels, [batch]; 0 without any.

    Class weights are factors: a pixel of class c counts `class_weights[c]` times. (PyTorch divides
    by the sum of the weights. Per image, an image with only one class would then have the same
    loss for any weight.)
    """
    if class_weights is not None:
        values = values * (pixels.truth * jnp.asarray(class_weights, jnp.float32)).sum(-1)
    total = jnp.where(pixels.valid, values, 0.0).sum(axis=1)
    return total / jnp.maximum(pixels.valid.sum(axis=1), 1)


def mean_over_classes(
    values: jax.Array, counted: jax.Array, class_weights: ClassWeights = None
) -> jax.Array:
    """Weighted mean of `values` [batch, classes] over the counted classes, [batch]; 0 without any.

    If only the foreground of two classes is given, its weight cancels.
    """
    weights = counted.astype(jnp.float32)
    if class_weights is not None and values.shape[-1] > 1:
        weights *= jnp.asarray(class_weights, jnp.float32)
    total = weights.sum(axis=1)
    return (values * weights).sum(axis=1) / jnp.where(total > 0, total, 1.0)


def power(base: jax.Array, exponent: float) -> jax.Array:
    """`base ** exponent` for base >= 0; the gradient at 0 is 0 where it would be infinite."""
    positive = base > 0
    return jnp.where(positive, jnp.where(positive, base, 1.0) ** exponent, 0.0)
