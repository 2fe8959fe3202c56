"""Test-time augmentation: averages the predictions of flipped, rotated and scaled images."""

from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp

from cnnlab.errors import UserError, did_you_mean

Predict = Callable[[jax.Array], jax.Array]

FLIPS = ("horizontal", "vertical")


def with_tta(
    predict: Predict,
    *,
    flips: Sequence[str] = ("horizontal",),
    rotate: bool = False,
    scales: Sequence[float] = (1.0,),
) -> Predict:
    """Wraps per-pixel prediction so that it averages over transformed images.

    Predictions are transformed back before the mean: flips and rotations exactly, scales by
    bilinear interpolation. `predict` is called with one shape per scale, and with `rotate` one per
    orientation of images that are not square.

    Args:
      predict: maps images [batch, height, width, channels] to probabilities [batch, height, width,
        classes], of any size if there are scales other than 1.
      flips: any of `horizontal` and `vertical`; with both, every combination.
      rotate: whether to add rotations by 90, 180 and 270 degrees, each with every flip.
      scales: factors of height and width; integer images stay integers.

    Raises:
      UserError: an unknown flip, no scales, or a scale that is not above 0.
    """
    for flip in flips:
        if flip not in FLIPS:
            raise UserError(f"Unknown flip '{flip}'.{did_you_mean(flip, FLIPS)}")
    if not scales or min(scales) <= 0:
        raise UserError(f"scales={tuple(scales)} must be one or more numbers above 0.")
    symmetries = _symmetries(flips, rotate)

    def predict_all(images: jax.Array) -> Iterator[jax.Array]:
        size = images.shape[1:3]
        for scale in scales:
            scaled = _resize_images(images, [max(round(scale * side), 1) for side in size])
            for turns, mirrored in symmetries:
                form = jnp.flip(scaled, 2) if mirrored else scaled
                prediction = jnp.asarray(predict(jnp.rot90(form, turns, (1, 2))))
                prediction = jnp.rot90(prediction, -turns, (1, 2))
                yield _resize(jnp.flip(prediction, 2) if mirrored else prediction, size)

    def averaged(images: jax.Array) -> jax.Array:
        return sum(predict_all(jnp.asarray(images))) / (len(scales) * len(symmetries))

    return averaged


def _symmetries(flips: Sequence[str], rotate: bool) -> list[tuple[int, bool]]:
    """Pairs of horizontal flip and quarter turns; a vertical flip is a flip and a half turn."""
    found = {(0, False)}
    if "horizontal" in flips:
        found |= {(0, True)}
    if "vertical" in flips:
        found |= {((turns + 2) % 4, not mirrored) for turns, mirrored in found}
    if rotate:
        found = {(turns, mirrored) for turns in range(4) for _, mirrored in found}
    return sorted(found)


def _resize_images(images: jax.Array, size: Sequence[int]) -> jax.Array:
    if not jnp.issubdtype(images.dtype, jnp.integer):
        return _resize(images, size)
    limits = jnp.iinfo(images.dtype)
    resized = _resize(images.astype(jnp.float32), size).round()
    return resized.clip(limits.min, limits.max).astype(images.dtype)


def _resize(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Bilinear, antialiased where it shrinks."""
    return jax.image.resize(x, (x.shape[0], *size, x.shape[3]), "bilinear")
