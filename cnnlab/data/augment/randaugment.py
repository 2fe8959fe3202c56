"""RandAugment (Cubuk et al. 2020, arXiv:1909.13719): random operations of one strength.

The 14 operations of the paper's list, with the ranges of torchvision 0.28. Deviations: pixels
outside of the image repeat its edge instead of being black, and solarize inverts nothing at
magnitude 0 (the paper's threshold of 256; 255 would turn white to black).
"""

import jax
import jax.numpy as jnp

from cnnlab.data.augment import color
from cnnlab.data.augment.geometric import affine, affine_matrices

_GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
_COLOR = ("identity", "autocontrast", "equalize", "solarize", "posterize", "saturation",
          "contrast", "brightness", "sharpness")  # fmt: skip
OPERATIONS = (*_GEOMETRIC, *_COLOR)
MAX_MAGNITUDE = 30.0


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
    images: jax.Array, choices: jax.Array, signs: jax.Array, strength: float
) -> jax.Array:
    """Applies to each image the operation that its choice, an index of `OPERATIONS`, names.

    Args:
      images: in [0, 1], [batch, height, width, channels].
      choices: int [batch].
      signs: -1 or 1, [batch]; direction of the operations that have one.
      strength: in [0, 1].
    """
    batch, height, width, channels = images.shape

    def chosen(name: str) -> jax.Array:
        return (choices == OPERATIONS.index(name)).astype(jnp.float32)

    # The geometric operations are one affine map with one of its parameters not neutral.
    signed = signs * strength
    matrices = affine_matrices(
        jnp.deg2rad(30.0 * signed * chosen("rotate")),
        jnp.ones(batch),
        0.3 * signed * chosen("shear_y"),
        0.3 * signed * chosen("shear_x"),
    )
    shifts = (150.0 / 331.0) * jnp.stack(
        [height * signed * chosen("translate_y"), width * signed * chosen("translate_x")], -1
    )
    factors = 1.0 + 0.9 * signed
    bits = jnp.broadcast_to(8 - jnp.round(4.0 * jnp.asarray(strength)), (batch,))
    thresholds = jnp.broadcast_to((256.0 / 255.0) * (1.0 - jnp.asarray(strength)), (batch,))
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
