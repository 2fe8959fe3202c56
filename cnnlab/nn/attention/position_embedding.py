"""Embeddings of positions on a grid, for maps of any size."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.nn.resize import resize_bilinear


def resize_embedding(embedding: jax.Array, grid: tuple[int, int]) -> jax.Array:
    """Interpolates the embeddings of a square grid to another grid; those of tokens are kept.

    The interpolation is cubic and antialiased, as that of timm.

    Args:
      embedding: [1, tokens + side**2, c]; those of at most 2 * side tokens come first.
      grid: height and width of the new grid in positions.

    Returns:
      [1, tokens + height * width, c].
    """
    side, channels = math.isqrt(embedding.shape[1]), embedding.shape[-1]
    if grid == (side, side):
        return embedding
    tokens, positions = jnp.split(embedding, [embedding.shape[1] - side**2], axis=1)
    positions = positions.reshape(1, side, side, channels)
    positions = jax.image.resize(positions, (1, *grid, channels), "cubic")
    return jnp.concatenate([tokens, positions.reshape(1, -1, channels)], axis=1)


class PositionEmbedding(nn.Module):
    """Adds a learned vector to each position (Dosovitskiy et al. 2020, arXiv:2010.11929, sec. 3.1).

    The vectors belong to one grid. For a map of another size they are interpolated (ibid., sec.
    3.2), so that one set of parameters serves all sizes. They start at zero.

    Attributes:
      grid: height and width of the grid in positions.
    """

    grid: tuple[int, int]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        shape = (1, *self.grid, x.shape[-1])
        embedding = self.param("embedding", nn.initializers.zeros_init(), shape)
        return x + resize_bilinear(embedding, x.shape[1:3]).astype(self.dtype)


class FourierPositionEmbedding(nn.Module):
    """Adds a learned linear map of sines and cosines of row and column to each position.

    As Vaswani et al. 2017, arXiv:1706.03762, sec. 3.5, with rows and columns counted from 1 and
    scaled so that the last is 2 pi (Carion et al. 2020, arXiv:2005.12872): a map of any size has
    the same range of phases.

    Attributes:
      frequencies: number of sines and cosines of the row, and of the column.
      kernel_init: initializer of the linear map.
    """

    frequencies: int = 32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        height, width = x.shape[1:3]
        shape = (height, width, self.frequencies)
        rows = np.broadcast_to(_waves(height, self.frequencies)[:, None], shape)
        columns = np.broadcast_to(_waves(width, self.frequencies)[None], shape)
        waves = jnp.asarray(np.concatenate([rows, columns], axis=-1), self.dtype)
        return x + nn.Dense(
            x.shape[-1], kernel_init=self.kernel_init, dtype=self.dtype, name="projection"
        )(waves)


def _waves(extent: int, frequencies: int) -> np.ndarray:
    """Sines and cosines in turn [extent, frequencies], two of each frequency."""
    phases = np.arange(1, extent + 1) / (extent + 1e-6) * 2 * np.pi
    number = np.arange(frequencies)
    angles = phases[:, None] / 10_000.0 ** (number // 2 * 2 / frequencies)
    return np.where(number % 2 == 0, np.sin(angles), np.cos(angles)).astype(np.float32)
