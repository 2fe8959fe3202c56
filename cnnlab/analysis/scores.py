"""The number of an image that attributions explain: how much a network is for one class."""

import jax
import jax.numpy as jnp

from cnnlab.tasks.segmentation import center_crop


def class_scores(
    logits: jax.Array, targets: jax.Array, pixels: jax.Array | None = None
) -> jax.Array:
    """The logit of one class of each image, [batch].

    Of segmentation it is the mean over a set of pixels of that class's logit, which explains these
    pixels (Vinogradova et al. 2020, arXiv:2002.11434, who take the sum). One logit speaks for
    class 1, and its negative for class 0.

    Args:
      logits: [batch, classes], or [batch, height, width, classes].
      targets: integers [batch].
      pixels: of segmentation, bool [batch, height, width]; where the logits are smaller, their
        middle counts. None takes all pixels, and an empty set gives 0.
    """
    if logits.shape[-1] == 1:
        logits = jnp.concatenate([-logits, logits], axis=-1)
    index = jnp.asarray(targets).reshape(-1, *[1] * (logits.ndim - 1))
    chosen = jnp.take_along_axis(logits, index, axis=-1)[..., 0]
    if logits.ndim == 2:
        return chosen
    if pixels is None:
        return chosen.mean(axis=(1, 2))
    weights = center_crop(jnp.asarray(pixels), chosen.shape[1:]).astype(chosen.dtype)
    return (chosen * weights).sum(axis=(1, 2)) / jnp.maximum(weights.sum(axis=(1, 2)), 1.0)
