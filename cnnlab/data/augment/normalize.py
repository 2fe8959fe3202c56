"""From uint8 images to the normalised floats that networks take."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

Batch = Mapping[str, jax.Array]


def to_float(images: jax.Array) -> jax.Array:
    """Maps uint8 images to float32 in [0, 1]; float images are taken to be there already."""
    floats = jnp.asarray(images, jnp.float32)
    return floats / 255.0 if images.dtype == jnp.uint8 else floats


def to_int(labels: jax.Array) -> jax.Array:
    """Labels as int32, to index with; label maps come to the device as uint8."""
    return jnp.asarray(labels, jnp.int32)


def normalize_images(images: jax.Array, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """(images - mean) / std per channel, of float32 images in [0, 1]."""
    return (images - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


def make_normalize(mean: Sequence[float], std: Sequence[float]) -> Callable[[Batch], Batch]:
    """Builds a function of batches for evaluation: normalised images, and labels as int32.

    Args:
      mean: per channel, of pixels in [0, 1].
      std: likewise.
    """

    def normalize(batch: Batch) -> Batch:
        normalised = {**batch, "image": normalize_images(to_float(batch["image"]), mean, std)}
        if "label" in batch:  # images to predict have none
            normalised["label"] = to_int(batch["label"])
        return normalised

    return normalize
