"""TrivialAugment (Mueller & Hutter 2021, arXiv:2103.10158): one random operation per image."""

import jax
import jax.numpy as jnp

from cnnlab.data.augment.rand_augment import OPERATIONS, OperationRanges, apply_operations

# Table 1 of the paper, the wide space, as `TrivialAugmentWide` of torchvision has it.
WIDE_RANGES = OperationRanges(
    rotate_degrees=135.0,
    shear=0.99,
    translate_share=0.0,
    translate_pixels=32.0,
    factor=0.99,
    posterize_bits=6.0,
)
NUM_BINS = 31


def trivial_augment(rng: jax.Array, images: jax.Array) -> jax.Array:
    """Applies one operation of random strength to each image; it has no settings.

    The operation, its strength (one of 31 from none to the largest of the wide space) and its sign
    are drawn uniformly. The deviations are those of `cnnlab.data.augment.rand_augment`.

    Args:
      rng: a key.
      images: in [0, 1], [batch, height, width, channels].

    References:
      Mueller & Hutter 2021, arXiv:2103.10158, algorithm 1.
    """
    choice_key, sign_key, strength_key = jax.random.split(rng, 3)
    batch = images.shape[:1]
    choices = jax.random.randint(choice_key, batch, 0, len(OPERATIONS))
    signs = jax.random.rademacher(sign_key, batch, jnp.float32)
    strength = jax.random.randint(strength_key, batch, 0, NUM_BINS) / (NUM_BINS - 1)
    return apply_operations(images, choices, signs, strength, WIDE_RANGES)
