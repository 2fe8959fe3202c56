"""Learned embeddings of positions on a grid, for maps of any size."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

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
