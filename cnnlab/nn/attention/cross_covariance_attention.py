"""Attention between channels instead of positions (El-Nouby et al. 2021, "XCiT").

arXiv:2106.09681, sec. 3.2: its cost grows linearly with the number of positions.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.attention.self_attention import split_heads

_EPSILON = 1e-12


class CrossCovarianceAttention(nn.Module):
    """Each channel of a head attends to all channels of that head.

    The weights are the softmax of the cosines of the channels' queries and keys over all positions,
    times a trainable factor for each head; they are computed in float32.

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
        dense = partial(nn.Dense, kernel_init=self.kernel_init, dtype=self.dtype)
        query, key, value = split_heads(dense(3 * x.shape[-1], name="qkv")(x), self.heads)
        temperature = self.param("temperature", nn.initializers.ones_init(), (self.heads, 1, 1))
        cosines = jnp.einsum("bnhc,bnhd->bhcd", _unit(query), _unit(key))
        weights = nn.softmax(cosines * temperature, axis=-1).astype(self.dtype)
        y = jnp.einsum("bhcd,bnhd->bnhc", weights, value)
        return dense(x.shape[-1], name="out")(y.reshape(x.shape))


def _unit(x: jax.Array) -> jax.Array:
    """Divides each channel [batch, positions, heads, c] by its norm over all positions."""
    x = x.astype(jnp.float32)
    squares = jnp.square(x).sum(axis=1, keepdims=True)
    # The root of a maximum has a gradient also for a channel of zeros.
    return x * jax.lax.rsqrt(jnp.maximum(squares, _EPSILON**2))
