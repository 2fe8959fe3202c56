"""Focal loss (Lin et al. 2017, arXiv:1708.02002)."""

import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.tasks.losses._cross_entropy import pixel_losses
from cnnlab.tasks.losses.pixels import IGNORE, ClassWeights, mean_over_pixels, pixels_of, power


def focal(
    logits: jax.Array,
    labels: jax.Array,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    class_weights: ClassWeights = None,
    ignore: int = IGNORE,
) -> jax.Array:
    """Mean of -(1 - p(label))^gamma log p(label) over the pixels of each example, [batch].

    Eqs. 4 and 5 of the paper, with a softmax for more than two classes (the paper has a sigmoid for
    each). Deviation: the mean is over all pixels, not over positive anchors.

    Args:
      logits: [batch, height, width, classes]; one class means a sigmoid of labels 0 and 1.
      labels: integers [batch, height, width].
      gamma: focusing exponent; larger values reduce the loss of easy pixels, 0 is cross-entropy.
      alpha: weight of class 1 of two, in [0, 1]; class 0 has 1 - alpha. None weighs both by 1.
      class_weights: factor of each class.
      ignore: label of pixels that are ignored.

    Raises:
      UserError: alpha is set for more than two classes.
    """
    pixels = pixels_of(logits, labels, ignore)
    losses = pixel_losses(pixels)
    losses *= power(-jnp.expm1(-losses), gamma)
    if alpha is not None:
        if logits.shape[-1] > 2:
            raise UserError(
                f"focal's alpha={alpha} balances two classes, and there are {logits.shape[-1]}: "
                "set class_weights instead."
            )
        losses *= jnp.where(pixels.truth[..., 1], alpha, 1 - alpha)
    return mean_over_pixels(losses, pixels, class_weights)
