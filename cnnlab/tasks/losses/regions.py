"""Losses of overlap between regions: Dice, Jaccard, Tversky, Focal Tversky.

All use the index TP / (TP + alpha FP + beta FN) on probabilities: TP sums the probability of a
class over its pixels, FP over all others, and FN sums 1 minus the probability over its pixels.
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
    """Mean over the classes of (1 - Tversky index)^(1/gamma) of each example, [batch].

    Salehi et al. 2017, arXiv:1706.05721, eq. 4, with their best alpha and beta; with gamma other
    than 1 the Focal Tversky loss (Abraham & Khan 2019, arXiv:1810.07842, eq. 4, where alpha and
    beta have each other's meaning, and gamma = 4/3 was best).

    Args:
      logits: [batch, height, width, classes]; one class means a sigmoid of labels 0 and 1, and only
        the foreground counts.
      labels: integers [batch, height, width].
      alpha: cost of a false positive.
      beta: cost of a false negative.
      gamma: greater than 0; above 1, classes with a small loss have larger gradients.
      smooth: pixels added to numerator and denominator of the index, so that a class that is not
        in the image counts too: the less of it is predicted, the better. With 0 its loss would be
        constant, so the mean is over the classes of the image only.
      class_weights: weight of each class in the mean over classes.
      ignore: label of pixels that are ignored.

    Raises:
      UserError: gamma is not greater than 0.
    """
    if gamma <= 0:
        raise UserError(f"tversky's gamma={gamma} must be greater than 0.")
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
    """Mean over the classes of 1 - 2 TP / (2 TP + FP + FN) of each example, [batch].

    The soft Dice loss, with plain probabilities (Milletari et al. 2016, arXiv:1606.04797, sec. 3,
    square them in the denominator). It is `tversky` with alpha = beta = 0.5 and takes the same
    arguments.
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
    """Mean over the classes of 1 - TP / (TP + FP + FN) of each example, [batch].

    One minus the soft intersection over union (Rahman & Wang 2016, "Optimizing intersection-over-
    union in deep neural networks for image segmentation"). It is `tversky`
    with alpha = beta = 1 and takes the same arguments.
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
