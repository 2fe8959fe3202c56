"""Multi-head self-attention with one projection to queries, keys and values."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def split_heads(qkv: jax.Array, heads: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Splits [..., positions, 3 * c] into queries, keys, values [..., positions, heads, c / heads].

    All queries come first, then all keys, then all values, as in PyTorch's `MultiheadAttention`.
    """
    channels = qkv.shape[-1] // 3
    parts = qkv.reshape(*qkv.shape[:-1], 3, heads, channels // heads)
    query, key, value = jnp.moveaxis(parts, -3, 0)
    return query, key, value


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762, sec. 3.2).

    `jax.nn.dot_product_attention` computes it, with the softmax in float32.

    Attributes:
      heads: number of heads; must divide the channels.
      kernel_init: initializer of both projections' kernels.
    """

    heads: int
    kernel_init: nn.initializers.Initializer = nn.initializers.xavier_uniform()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, positions, c] to the same shape."""
        options: dict[str, Any] = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        qkv = nn.Dense(3 * x.shape[-1], name="qkv", **options)(x)
        y = jax.nn.dot_product_attention(*split_heads(qkv, self.heads))
        return nn.Dense(x.shape[-1], name="out", **options)(y.reshape(x.shape))
