"""Split attention (Zhang et al. 2020, arXiv:2004.08955, sec. 3.1)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import Activation
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import he_init
from cnnlab.nn.inverted_residual import round_channels


class SplitAttention(nn.Module):
    """Several 3x3 convolutions of the same map, weighted for each image and channel, and added.

    The weights of the splits come from the spatial means of their sum, through two layers, and add
    up to 1 for each channel. A single split has a gate in [0, 1], as in squeeze-and-excitation.

    Attributes:
      features: channels of the output.
      radix: number of splits; R in the paper.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after each norm.
      groups: number of channel groups, each with attention of its own; K in the paper.
      dilation: dilation of the convolutions.
    """

    features: int
    radix: int
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    groups: int = 1
    dilation: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        x = Conv(
            self.radix * self.features,
            (3, 3),
            padding=self.dilation,
            kernel_dilation=self.dilation,
            feature_group_count=self.radix * self.groups,
            use_bias=False,
            kernel_init=he_init,
            dtype=self.dtype,
            name="conv",
        )(x)
        x = self.activation(self.norm(name="norm")(x))
        splits = x.reshape(*x.shape[:3], self.radix, self.features)
        y = splits.sum(axis=3).mean(axis=(1, 2), keepdims=True)
        # A quarter of the channels of all splits, as in timm.
        hidden = max(32, round_channels(self.radix * self.features / 4))
        y = self._layer(hidden, "reduce")(y)
        y = self.activation(self.norm(name="reduce_norm")(y))
        y = self._layer(self.radix * self.features, "expand")(y)
        return (splits * self._weights(y)).sum(axis=3)

    def _layer(self, features: int, name: str) -> nn.Module:
        return Conv(
            features,
            (1, 1),
            feature_group_count=self.groups,
            kernel_init=he_init,
            dtype=self.dtype,
            name=name,
        )

    def _weights(self, scores: jax.Array) -> jax.Array:
        """Maps scores [batch, 1, 1, radix * features] to weights [batch, 1, 1, radix, features]."""
        # The layer's groups come first there, and in each of them its splits.
        scores = scores.reshape(-1, 1, 1, self.groups, self.radix, self.features // self.groups)
        weights = nn.softmax(scores, axis=4) if self.radix > 1 else nn.sigmoid(scores)
        return weights.swapaxes(3, 4).reshape(-1, 1, 1, self.radix, self.features)
