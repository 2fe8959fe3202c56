"""Resizing of feature maps at PyTorch's sample positions, which equal logits depend on."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def resize_bilinear(x: jax.Array, size: Sequence[int], *, align_corners: bool = False) -> jax.Array:
    """Bilinear interpolation; smaller sizes are sampled, without antialiasing.

    Args:
      x: [batch, height, width, channels], or with any other number of spatial axes.
      size: new height and width, or new sizes of all spatial axes.
      align_corners: whether the centers of the corner pixels coincide, instead of their outer
        edges; for two spatial axes only.
    """
    if x.shape[1:-1] == tuple(size):
        return x
    if not align_corners:
        shape = (x.shape[0], *size, x.shape[-1])
        return jax.image.resize(x, shape, "linear", antialias=False)
    rows, columns = (
        jnp.asarray(_aligned(old, new), x.dtype)
        for old, new in zip(x.shape[1:3], size, strict=True)
    )
    return jnp.einsum("ih,jw,bhwc->bijc", rows, columns, x)


def _aligned(old: int, new: int) -> np.ndarray:
    """The matrix [new, old] of linear interpolation with both ends fixed."""
    positions = np.linspace(0.0, old - 1.0, new) if new > 1 else np.zeros(1)
    low = np.minimum(positions.astype(int), max(old - 2, 0))
    share = positions - low
    matrix = np.zeros((new, old), np.float32)
    np.add.at(matrix, (np.arange(new), low), 1.0 - share)
    np.add.at(matrix, (np.arange(new), np.minimum(low + 1, old - 1)), share)
    return matrix


def resize_nearest(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Nearest-neighbour resizing: position i takes the value at floor(i * old / new).

    Args:
      x: [batch, height, width, channels].
      size: new height and width.
    """
    for axis, new in zip((1, 2), size, strict=True):
        old = x.shape[axis]
        if new % old == 0:
            # The gradient of a repetition is a sum; that of a gather is a scatter, slow on CPU.
            x = jnp.repeat(x, new // old, axis=axis) if new != old else x
        else:
            x = jnp.take(x, np.arange(new) * old // new, axis=axis)
    return x
