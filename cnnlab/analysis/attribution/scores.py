"""The score of an image that attributions explain: the logit of one class."""

import jax
import jax.numpy as jnp

from cnnlab.tasks.segmentation import center_crop


def class_scores(
    logits: jax.Array, targets: jax.Array, pixels: jax.Array | None = None
) -> jax.Array:
    """The logit of one class of each image, [batch].

    For segmentation it is the mean of that class's logit over a set of pixels, which explains these
    pixels (Vinogradova et al. 2020, arXiv:2002.11434, with a sum). A single logit is that of class
    1, and its negative that of class 0.

    Args:
      logits: [batch, classes], or [batch, height, width, classes].
      targets: integers [batch].
      pixels: for segmentation, bool [batch, height, width], cropped to the center if the logits
        are smaller. None uses all pixels; for an empty set the score is 0.
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
