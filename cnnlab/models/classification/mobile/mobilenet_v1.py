"""MobileNet (Howard et al. 2017, "MobileNets: efficient convolutional neural networks...").

arXiv:1704.04861, table 1, in the widths of sec. 3.3 that timm has, under its names; `100h` has a
last 1x1 convolution of 1024 channels besides. Deviations: ReLU6 instead of ReLU, as in the authors'
published code; no dropout by default; convolutions start from normal values of variance 2 /
fan-out.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.inverted_residual import level_strides, round_channels

_STEM_CHANNELS = 32

# Table 1: channels, blocks, stride of the first block. (The stride 2 of its last block is a
# misprint: the map stays 7x7.)
_STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))


class MobileNetV1(nn.Module):
    """Stem and depthwise separable convolutions (fig. 3 right).

    Attributes:
      stages: rows of channels, blocks and stride of the first block.
      width: multiplies all channels but `last_channels`.
      last_channels: channels of a last 1x1 convolution; 0 for none.
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      norm_epsilon: added to the variance.
      activation: activation after each convolution.
    """

    stages: Sequence[Sequence[int]]
    width: float = 1.0
    last_channels: int = 0
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    activation: str = "relu6"
    dtype: jnp.dtype = jnp.float32

    @property
    def _stem_stride(self) -> int:
        return 2 if self.stem == "imagenet" else 1

    @property
    def strides(self) -> tuple[int, ...]:
        strides = level_strides(self._stem_stride, (stride for *_, stride in self.stages))
        return strides if self.last_channels else strides[:-1]

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the last map of each resolution.

        With `last_channels` the map of the last 1x1 convolution follows.
        """
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype, epsilon=self.norm_epsilon),
            activation=make_activation(self.activation),
            dtype=self.dtype,
        )
        channels = round_channels(_STEM_CHANNELS * self.width)
        x = conv(channels, 3, self._stem_stride, name="stem")(images)
        maps = []
        for stage, (channels, size, stride) in enumerate(self.stages, start=1):
            if stride > 1:
                maps.append(x)
            for number in range(1, size + 1):
                x = SeparableBlock(
                    round_channels(channels * self.width),
                    conv,
                    stride if number == 1 else 1,
                    name=f"stage{stage}_block{number}",
                )(x)
        maps.append(x)
        if self.last_channels:
            maps.append(conv(self.last_channels, 1, name="last_conv")(x))
        return tuple(maps)


class SeparableBlock(nn.Module):
    """A 3x3 convolution of each channel and a 1x1 convolution of all, each with norm, activation.

    Attributes:
      features: channels of the output.
      conv: builds a convolution with its norm and activation, as `cnnlab.nn.conv_norm_act`'s.
      stride: stride of the 3x3 convolution.
    """

    features: int
    conv: partial
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        channels = x.shape[-1]
        x = self.conv(channels, 3, self.stride, groups=channels, name="depthwise")(x)
        return self.conv(self.features, 1, name="project")(x)


VARIANTS = {
    "mobilenetv1_100": {},
    "mobilenetv1_100h": {"last_channels": 1024},
    "mobilenetv1_125": {"width": 1.25},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stages: Sequence[Sequence[int]] = _STAGES,
    width: float = 1.0,
    last_channels: int = 0,
    stem: str = "imagenet",
    norm: str = "batch",
    norm_epsilon: float = 1e-5,
    activation: str = "relu6",
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    backbone = MobileNetV1(
        stages, width, last_channels, stem, norm, norm_epsilon, activation, dtype
    )
    head = LinearHead(num_classes, dropout_rate, dtype, kernel_init=nn.initializers.normal(0.01))
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
