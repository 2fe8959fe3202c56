"""Two 3x3 convolutions, each with its norm and activation: the unit of the U-Nets."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import Activation, Identity
from cnnlab.nn.conv_norm_act import ConvNormAct


class DoubleConv(nn.Module):
    """Two `ConvNormAct` (Ronneberger et al. 2015, arXiv:1505.04597, fig. 1).

    Attributes:
      features: channels of the output.
      mid_features: channels between the two convolutions; None uses `features`.
      norm: builds a normalization layer, e.g. from `cnnlab.nn.choices.make_norm`.
      activation: elementwise function.
      padding: pixels on each side; None keeps the size, 0 is the original U-Net's.
      use_bias: None gives the convolutions a bias only where no norm follows.
    """

    features: int
    mid_features: int | None = None
    norm: Callable[..., nn.Module] = Identity
    activation: Activation = nn.relu
    padding: int | None = None
    use_bias: bool | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        for number, features in enumerate((self.mid_features or self.features, self.features), 1):
            x = ConvNormAct(
                features,
                padding=self.padding,
                norm=self.norm,
                activation=self.activation,
                use_bias=self.use_bias,
                dtype=self.dtype,
                name=f"conv{number}",
            )(x)
        return x
