"""Learned embeddings of positions on a grid, for maps of any size."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.resize import resize_bilinear


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
