"""Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507, sec. 3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import Activation
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import he_init


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the spatial means of all channels.

    Attributes:
      hidden: width between the two layers.
      activation: activation after the first layer.
      gate: activation after the second layer; maps to [0, 1].
      use_bias: whether the layers have biases.
    """

    hidden: int
    activation: Activation = nn.relu
    gate: Activation = nn.sigmoid
    dtype: jnp.dtype = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""

        def layer(features: int, name: str) -> nn.Module:
            return Conv(
                features,
                (1, 1),
                use_bias=self.use_bias,
                kernel_init=he_init,
                dtype=self.dtype,
                name=name,
            )

        y = self.activation(layer(self.hidden, "reduce")(x.mean(axis=(1, 2), keepdims=True)))
        return x * self.gate(layer(x.shape[-1], "expand")(y))
