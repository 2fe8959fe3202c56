"""Losses of regions that overlap: Dice, Jaccard, Tversky, Focal Tversky.

All are one index, TP / (TP + alpha FP + beta FN), where a pixel counts by its probability: TP is
the probability of a class summed over its pixels, FP over the others, FN what its pixels lack to 1.
"""

import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.tasks.losses.pixels import (
    IGNORE,
    ClassWeights,
    mean_over_classes,
    pixels_of,
    power,
)


def tversky(
    logits: jax.Array,
    labels: jax.Array,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 1.0,
    smooth: float = 1.0,
    class_weights: ClassWeights = None,
    ignore: int = IGNORE,
) -> jax.Array:
    """Mean over the classes of (1 - Tversky index)^(1/gamma), [batch], of each example by itself.

    Salehi et al. 2017, arXiv:1706.05721, eq. 4, with their best alpha and beta; with gamma other
    than 1 the Focal Tversky loss (Abraham & Khan 2019, arXiv:1810.07842, eq. 4, where alpha and
    beta have each other's meaning, and gamma = 4/3 was best).

    Args:
      logits: [batch, height, width, classes]; one class means a sigmoid of labels 0 and 1, and is
        judged by its foreground alone.
      labels: integers [batch, height, width].
      alpha: cost of a false positive.
      beta: cost of a false negative.
      gamma: above 1, classes with a small loss count for more; above 0.
      smooth: pixels added to numerator and denominator of the index. So a class that is not in the
        image counts as well, the less of it is predicted the better. With 0, it would have the
        same loss whatever is predicted, so only the classes of the image make the mean.
      class_weights: of the mean over classes.
      ignore: label of pixels that count for nothing.

    Raises:
      UserError: gamma that is not above 0.
    """
    if gamma <= 0:
        raise UserError(f"tversky's gamma={gamma} must be greater than 0: its inverse is a power.")
    pixels = pixels_of(logits, labels, ignore)
    first = 1 if logits.shape[-1] == 1 else 0  # of two classes by one logit, the foreground
    p, truth = jax.nn.softmax(pixels.logits)[..., first:], pixels.truth[..., first:]
    p = jnp.where(pixels.valid[..., None], p, 0.0)
    hits = jnp.where(truth, p, 0.0).sum(axis=1)
    costs = jnp.where(truth, beta * (1 - p), alpha * p).sum(axis=1)
    # 1 - index without the difference, which would lose digits where the prediction is good.
    total = hits + costs + smooth
    losses = power(costs / jnp.where(total > 0, total, 1.0), 1 / gamma)
    counted = truth.any(axis=1) | (smooth > 0)
    return mean_over_classes(losses, counted, class_weights)


def dice(
    logits: jax.Array,
    labels: jax.Array,
    *,
    smooth: float = 1.0,
    class_weights: ClassWeights = None,
    ignore: int = IGNORE,
) -> jax.Array:
    """Mean over the classes of 1 - 2 TP / (2 TP + FP + FN), [batch], of each example by itself.

    The soft Dice loss, with probabilities as they are (Milletari et al. 2016, arXiv:1606.04797,
    sec. 3, have their squares in the denominator). Arguments as `tversky`, which it is with alpha
    and beta of 0.5.
    """
    return tversky(
        logits,
        labels,
        alpha=0.5,
        beta=0.5,
        smooth=smooth,
        class_weights=class_weights,
        ignore=ignore,
    )


def jaccard(
    logits: jax.Array,
    labels: jax.Array,
    *,
    smooth: float = 1.0,
    class_weights: ClassWeights = None,
    ignore: int = IGNORE,
) -> jax.Array:
    """Mean over the classes of 1 - TP / (TP + FP + FN), [batch], of each example by itself.

    One minus the soft intersection over union (Rahman & Wang 2016, "Optimizing intersection-over-
    union in deep neural networks for image segmentation"). Arguments as `tversky`, which it is with
    alpha and beta of 1.
    """
    return tversky(
        logits,
        labels,
        alpha=1.0,
        beta=1.0,
        smooth=smooth,
        class_weights=class_weights,
        ignore=ignore,
    )
