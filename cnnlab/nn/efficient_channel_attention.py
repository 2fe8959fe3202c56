"""Efficient channel attention (Wang et al. 2019, arXiv:1910.03151, sec. 3.2)."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.conv import Conv


class EfficientChannelAttention(nn.Module):
    """Scales each channel by a gate computed from the spatial means of its neighbours.

    One convolution over the channels, as long as the logarithm of their number asks for (eq. 12
    with gamma 2 and b 1), and a sigmoid.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        size = kernel_size(x.shape[-1])
        conv = Conv(1, (size,), padding=size // 2, use_bias=False, dtype=self.dtype, name="conv")
        means = x.mean(axis=(1, 2))[..., None]
        return x * nn.sigmoid(conv(means))[:, None, None, :, 0]


def kernel_size(channels: int) -> int:
    """Returns the nearest odd number above half of log2(2 * channels), at least 3 (eq. 12)."""
    half = int((math.log2(channels) + 1) / 2)
    return max(3, half + 1 - half % 2)
