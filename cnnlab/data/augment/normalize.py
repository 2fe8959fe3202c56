"""Normalisation of stored pixels to floats for networks."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.arrays import Batch


@dataclasses.dataclass(frozen=True)
class PixelScale:
    """How pixels are mapped to normalised floats.

    Attributes:
      mean: per-channel mean of pixels in [0, 1]; None for both uses those of each image.
      std: per-channel standard deviation, same length as `mean`.
      value_range: pixel values that are mapped to 0 and 1; None means 0 and 255 for uint8, and that
        floats are already in [0, 1].
      clip: whether pixels beyond the range are clipped.
    """

    mean: Sequence[float] | None
    std: Sequence[float] | None
    value_range: tuple[float, float] | None = None
    clip: bool = False

    def to_float(self, images: jax.Array) -> jax.Array:
        """Maps images to float32, in [0, 1] where they are within the range."""
        if self.value_range is None:
            return to_float(images)
        low, high = self.value_range
        floats = (jnp.asarray(images, jnp.float32) - low) / (high - low)
        return jnp.clip(floats, 0.0, 1.0) if self.clip else floats

    def normalize(self, images: jax.Array) -> jax.Array:
        """Centres and scales float32 images [batch, height, width, channels]."""
        if self.mean is not None:
            return normalize_images(images, self.mean, self.std)
        mean = images.mean((1, 2), keepdims=True)
        # A constant image has no deviation to divide by; below this there is rounding alone.
        return (images - mean) / jnp.maximum(images.std((1, 2), keepdims=True), 1e-4)


def to_float(images: jax.Array) -> jax.Array:
    """Maps uint8 images to float32 in [0, 1]; float images must already be in [0, 1]."""
    floats = jnp.asarray(images, jnp.float32)
    return floats / 255.0 if images.dtype == jnp.uint8 else floats


def to_int(labels: jax.Array) -> jax.Array:
    """Converts labels to int32, for indexing; label maps are uint8 on the device."""
    return jnp.asarray(labels, jnp.int32)


def normalize_images(images: jax.Array, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """Computes (images - mean) / std per channel for float32 images in [0, 1]."""
    return (images - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


def make_normalize(
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    *,
    value_range: tuple[float, float] | None = None,
    clip: bool = False,
) -> Callable[[Batch], Batch]:
    """Builds a function of batches for evaluation: normalised images, and labels as int32.

    The arguments are those of `PixelScale`.
    """
    scale = PixelScale(mean, std, value_range, clip)

    def normalize(batch: Batch) -> Batch:
        normalised = {**batch, "image": scale.normalize(scale.to_float(batch["image"]))}
        if "label" in batch:  # images to predict have none
            normalised["label"] = to_int(batch["label"])
        return normalised

    return normalize
