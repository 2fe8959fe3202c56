"""Concurrent spatial and channel squeeze-and-excitation (Roy et al. 2018, arXiv:1803.02579)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.conv import Conv
from cnnlab.nn.squeeze_excite import SqueezeExcite

_REDUCTION = 16


class SpatialChannelSqueezeExcite(nn.Module):
    """Sum of the map scaled by a gate per channel and the map scaled by a gate per position.

    Deviation: a sixteenth of the channels between the channel gate's layers, where the paper has
    half, as in segmentation_models_pytorch.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        hidden = max(1, x.shape[-1] // _REDUCTION)
        scaled = SqueezeExcite(hidden, dtype=self.dtype, name="channel")(x)
        gate = Conv(1, (1, 1), dtype=self.dtype, name="spatial")(x)
        return scaled + x * nn.sigmoid(gate)
