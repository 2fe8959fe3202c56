"""RandAugment (Cubuk et al. 2020, arXiv:1909.13719): random operations of one strength.

The 14 operations of the paper's list, with the ranges of torchvision 0.28. Deviations: pixels
outside of the image repeat its edge instead of being black, and solarize inverts nothing at
magnitude 0 (the paper's threshold of 256; 255 would turn white to black).
"""

import dataclasses

import jax
import jax.numpy as jnp

from cnnlab.data.augment import color
from cnnlab.data.augment.geometric import affine, affine_matrices

_GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
_COLOR = ("identity", "autocontrast", "equalize", "solarize", "posterize", "saturation",
          "contrast", "brightness", "sharpness")  # fmt: skip
OPERATIONS = (*_GEOMETRIC, *_COLOR)
MAX_MAGNITUDE = 30.0


@dataclasses.dataclass(frozen=True)
class OperationRanges:
    """Ranges of the operations at strength 1.

    Attributes:
      rotate_degrees: angle in degrees.
      shear: shift of a row or column per pixel of distance.
      translate_share: shift as a share of the image's height or width.
      translate_pixels: further shift, in pixels.
      factor: change of the factors of saturation, contrast, brightness and sharpness from 1.
      posterize_bits: number of the 8 bits that are dropped.
    """

    rotate_degrees: float = 30.0
    shear: float = 0.3
    translate_share: float = 150.0 / 331.0
    translate_pixels: float = 0.0
    factor: float = 0.9
    posterize_bits: float = 4.0


RAND_AUGMENT_RANGES = OperationRanges()


def randaugment(
    rng: jax.Array, images: jax.Array, *, num_layers: int = 2, magnitude: float = 9.0
) -> jax.Array:
    """Applies `num_layers` operations, drawn for each image, with random sign.

    Args:
      rng: a key.
      images: in [0, 1], [batch, height, width, channels].
      num_layers: N of the paper.
      magnitude: M of the paper, 0 to 30; may be traced.
    """
    for key in jax.random.split(rng, num_layers):
        choice_key, sign_key = jax.random.split(key)
        choices = jax.random.randint(choice_key, images.shape[:1], 0, len(OPERATIONS))
        signs = jax.random.rademacher(sign_key, images.shape[:1], jnp.float32)
        images = apply_operations(images, choices, signs, magnitude / MAX_MAGNITUDE)
    return images


def apply_operations(
    images: jax.Array,
    choices: jax.Array,
    signs: jax.Array,
    strength: jax.Array | float,
    ranges: OperationRanges = RAND_AUGMENT_RANGES,
) -> jax.Array:
    """Applies to each image the operation that its choice, an index of `OPERATIONS`, names.

    Args:
      images: in [0, 1], [batch, height, width, channels].
      choices: indices of operations, int [batch].
      signs: direction of operations that have one, -1 or 1, [batch].
      strength: strength in [0, 1], a scalar or [batch].
      ranges: ranges of the operations at strength 1.
    """
    batch, height, width, channels = images.shape

    def chosen(name: str) -> jax.Array:
        return (choices == OPERATIONS.index(name)).astype(jnp.float32)

    # The geometric operations are one affine map with one of its parameters not neutral.
    strength = jnp.broadcast_to(jnp.asarray(strength, jnp.float32), (batch,))
    signed = signs * strength
    matrices = affine_matrices(
        jnp.deg2rad(ranges.rotate_degrees * signed * chosen("rotate")),
        jnp.ones(batch),
        ranges.shear * signed * chosen("shear_y"),
        ranges.shear * signed * chosen("shear_x"),
    )
    down, right = (
        ranges.translate_share * size + ranges.translate_pixels for size in (height, width)
    )
    shifts = jnp.stack(
        [down * signed * chosen("translate_y"), right * signed * chosen("translate_x")], -1
    )
    factors = 1.0 + ranges.factor * signed
    bits = 8 - jnp.round(ranges.posterize_bits * strength)
    thresholds = (256.0 / 255.0) * (1.0 - strength)
    results = {
        **dict.fromkeys(_GEOMETRIC, affine(images, matrices, shifts)),
        "identity": images,
        "autocontrast": color.autocontrast(images),
        "equalize": color.equalize(images),
        "solarize": color.solarize(images, thresholds),
        "posterize": color.posterize(images, bits),
        "saturation": color.saturation(images, factors) if channels == 3 else images,
        "contrast": color.contrast(images, factors),
        "brightness": color.brightness(images, factors),
        "sharpness": color.sharpness(images, factors),
    }
    # Every operation is computed on all images: under jit, a choice per image would be as well.
    result = images
    for index, name in enumerate(OPERATIONS):
        result = jnp.where((choices == index)[:, None, None, None], results[name], result)
    return result
