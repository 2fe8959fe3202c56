"""Xception (Chollet 2017, "Xception: deep learning with depthwise separable...", arXiv:1610.02357).

The network of fig. 5, as Keras published it and timm has it: 22,855,952 parameters. Convolutions
are separable, a depthwise one and a 1x1 without anything between them, and residual blocks surround
two or three of them. Deviations: none of the architecture; convolutions start from normal values of
variance 2 / fan-out.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classification.inception.inception_block import scale_channels
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, Identity, make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool


class SeparableConv(nn.Module):
    """A 3x3 depthwise convolution and a 1x1 convolution with a norm.

    Attributes:
      features: channels of the output.
      conv: builds a convolution with its norm, without activation.
    """

    features: int
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        channels = x.shape[-1]
        x = self.conv(
            channels, 3, groups=channels, norm=Identity, use_bias=False, name="depthwise"
        )(x)
        return self.conv(self.features, 1, name="pointwise")(x)


class XceptionBlock(nn.Module):
    """Separable convolutions, each after an activation, and a shortcut.

    Attributes:
      widths: channels of each separable convolution.
      stride: 2 halves the map by 3x3 max pooling, and the shortcut by its 1x1 convolution.
      conv: builds a convolution with its norm, without activation.
      activation: activation before each separable convolution.
      first_activation: whether there is one before the first.
    """

    widths: Sequence[int]
    stride: int
    conv: Callable[..., nn.Module]
    activation: Activation
    first_activation: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height/stride, width/stride, widths[-1]]."""
        y = x
        for number, width in enumerate(self.widths, start=1):
            if number > 1 or self.first_activation:
                y = self.activation(y)
            y = SeparableConv(width, self.conv, name=f"conv{number}")(y)
        if self.stride > 1:
            y = max_pool(y, (3, 3), (self.stride, self.stride), ((1, 1), (1, 1)))
        if y.shape != x.shape:
            x = self.conv(self.widths[-1], 1, self.stride, name="shortcut")(x)
        return x + y


class Xception(nn.Module):
    """Entry, middle and exit flow (fig. 5).

    Attributes:
      middle_blocks: blocks of the middle flow.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation between the layers.
      width: share of the paper's channels.
    """

    middle_blocks: int = 8
    norm: str = "batch"
    activation: str = "relu"
    width: float = 1.0
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (2, 4, 8, 16, 32)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the last map of each resolution, after its activation.

        The stem is not padded, so that maps are up to two positions smaller than the image divided
        by their stride.
        """
        activation = make_activation(self.activation)
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=None,
            dtype=self.dtype,
        )

        def block(name: str, widths: Sequence[int], stride: int) -> nn.Module:
            return XceptionBlock(
                [scale_channels(width, self.width) for width in widths],
                stride,
                conv,
                activation,
                first_activation=name != "entry1",
                name=name,
            )

        x = conv(scale_channels(32, self.width), 3, 2, padding=0, name="stem1")(images)
        x = conv(scale_channels(64, self.width), 3, padding=0, name="stem2")(activation(x))
        x = activation(x)
        maps = [x]
        for number, width in enumerate((128, 256, 728), start=1):
            x = block(f"entry{number}", (width, width), 2)(x)
            if number < 3:
                maps.append(activation(x))
        for number in range(1, self.middle_blocks + 1):
            x = block(f"middle{number}", (728, 728, 728), 1)(x)
        maps.append(activation(x))
        x = block("exit", (728, 1024), 2)(x)
        for number, width in enumerate((1536, 2048), start=1):
            width = scale_channels(width, self.width)
            x = activation(SeparableConv(width, conv, name=f"exit_conv{number}")(x))
        return (*maps, x)


VARIANTS = {"legacy_xception": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    middle_blocks: int = 8,
    norm: str = "batch",
    activation: str = "relu",
    width: float = 1.0,
    dropout_rate: float = 0.5,
) -> Classifier:
    """Builds the network; the rate of dropout is the paper's (sec. 4.3)."""
    backbone = Xception(middle_blocks, norm, activation, width, dtype)
    # With one position in the last map it would run, and learn little.
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size=33)
