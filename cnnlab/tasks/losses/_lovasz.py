"""The Lovász-Softmax and Lovász hinge losses (Berman et al. 2018, arXiv:1705.08790)."""

import jax
import jax.numpy as jnp

from cnnlab.tasks.losses.pixels import IGNORE, ClassWeights, mean_over_classes, pixels_of


def lovasz(
    logits: jax.Array,
    labels: jax.Array,
    *,
    class_weights: ClassWeights = None,
    ignore: int = IGNORE,
) -> jax.Array:
    """The Lovász extension of the Jaccard loss of each example, [batch].

    Several classes: Lovász-Softmax (sec. 2.2), errors |truth - probability|, mean over the classes
    that the image has. One class: the Lovász hinge of its foreground (sec. 2.1), errors
    max(0, 1 - margin), also where there is none.

    Args:
      logits: [batch, height, width, classes]; one class means labels 0 and 1.
      labels: integers [batch, height, width].
      class_weights: weight of each class in the mean over classes.
      ignore: label of pixels that are ignored.
    """
    pixels = pixels_of(logits, labels, ignore)
    if logits.shape[-1] == 1:
        logit, truth = pixels.logits[..., 1:], pixels.truth[..., 1:]
        errors = jax.nn.relu(1 - jnp.where(truth, logit, -logit))
        counted = jnp.ones((logits.shape[0], 1), bool)
    else:
        truth = pixels.truth
        p = jax.nn.softmax(pixels.logits)
        errors = jnp.where(truth, 1 - p, p)
        counted = truth.any(axis=1)
    errors = jnp.where(pixels.valid[..., None], errors, 0.0)
    return mean_over_classes(_jaccard_extension(errors, truth), counted, class_weights)


def _jaccard_extension(errors: jax.Array, truth: jax.Array) -> jax.Array:
    """Sum over pixels of error times increment of the Jaccard loss, [batch, classes].

    Pixels join the mispredicted set in order of decreasing error (Alg. 1). A pixel of the class
    shrinks the intersection by one; any other enlarges the union by one. The increments are
    computed directly, because the difference of two losses near 1 loses digits. Pixels with error
    0 come last and contribute nothing.

    Args:
      errors: errors of at least 0, [batch, pixels, classes].
      truth: whether a pixel is of the class, same shape.
    """
    descending, truth = jax.lax.sort((-errors, truth.astype(jnp.int32)), dimension=1, num_keys=1)
    # Counted in whole numbers: exact for any number of pixels.
    size = truth.sum(axis=1, keepdims=True)
    found = jnp.cumsum(truth, axis=1)
    place = jnp.arange(1, errors.shape[1] + 1)[None, :, None]
    intersection = (size - found).astype(jnp.float32)
    union = (size + place - found).astype(jnp.float32)
    # Without pixels of the class, the first to join takes the loss from 0 to 1.
    grown = jnp.where(union > 1, intersection / union / jnp.maximum(union - 1, 1), 1.0)
    added = jnp.where(truth > 0, 1 / union, grown)
    return (-descending * added).sum(axis=1)
