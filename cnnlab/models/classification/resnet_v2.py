"""ResNet v2 (He et al. 2016, "Identity mappings in deep residual networks", arXiv:1603.05027).

Norm and activation come before each convolution, and nothing follows the sum.

- `resnetv2_18` to `resnetv2_152`: for ImageNet, with timm's names; the first two of basic blocks.
- `wrn_16_4` and others: wide residual networks for CIFAR, named after depth and width factor
  (Zagoruyko & Komodakis 2016, arXiv:1605.07146), with dropout between a block's convolutions.

Deviations: the stride of a bottleneck sits in its 3x3 convolution, as in timm; a shortcut that
changes shape is a projection of the activated input (fig. 1 of arXiv:1605.07146's code and timm).
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import he_init
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resnet_stem import check_stem, stage_strides, stem_conv
from cnnlab.nn.stochastic_depth import stochastic_depth


class PreActivationBlock(nn.Module):
    """Norm, activation and convolution, two or three times, and a shortcut (fig. 4e).

    Attributes:
      features: channels of the 3x3 convolutions.
      stride: stride of the first 3x3 convolution and of the shortcut.
      bottleneck: 1x1, 3x3 and 1x1 to four times as many channels, instead of two of 3x3.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after each norm.
      dropout: builds a dropout layer, put before the last convolution.
      drop_path: builds the dropout of the branch; train or eval mode is bound. None drops nothing.
    """

    features: int
    stride: int
    bottleneck: bool
    norm: Callable[..., nn.Module]
    activation: Activation
    dropout: Callable[[], nn.Module]
    dtype: jnp.dtype = jnp.float32
    drop_path: Callable[[], nn.Module] | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, channels]."""
        # Kernel, channels and stride of each convolution.
        layers = [(3, self.features, self.stride), (3, self.features, 1)]
        if self.bottleneck:
            layers = [(1, self.features, 1), layers[0], (1, 4 * self.features, 1)]
        y = x
        for number, (kernel, features, stride) in enumerate(layers, start=1):
            y = self.activation(self.norm(name=f"norm{number}")(y))
            if number == 1:
                activated = y
            if number == len(layers):
                y = self.dropout()(y)
            y = self._conv(features, kernel, stride, f"conv{number}")(y)
        if y.shape != x.shape:
            x = self._conv(y.shape[-1], 1, self.stride, "shortcut_conv")(activated)
        if self.drop_path is not None:
            y = self.drop_path()(y)
        return x + y

    def _conv(self, features: int, kernel: int, stride: int, name: str) -> nn.Module:
        return Conv(
            features,
            (kernel, kernel),
            stride,
            padding=kernel // 2,
            use_bias=False,
            kernel_init=he_init,
            dtype=self.dtype,
            name=name,
        )


class ResNetV2(nn.Module):
    """Stem, stages of pre-activation blocks, a last norm and activation.

    Attributes:
      stage_sizes: blocks in each stage.
      bottleneck: whether blocks have 1x1, 3x3 and 1x1 convolutions instead of two of 3x3.
      stem: `imagenet` (7x7 stride 2, then 3x3 max pooling stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
      stem_width: channels of the stem.
      width: features of the first stage; each later one has twice as many.
      block_dropout_rate: share set to zero before the last convolution of each block.
      stochastic_depth_rate: probability of dropping the last block's branch in training; rates
        rise linearly from the first block.
    """

    stage_sizes: Sequence[int]
    bottleneck: bool
    stem: str = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    stem_width: int = 64
    width: int = 64
    block_dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    stochastic_depth_rate: float = 0.0

    @property
    def strides(self) -> tuple[int, ...]:
        return stage_strides(self.stem, len(self.stage_sizes))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the maps that `strides` names.

        They are raw sums, but for the last, which has passed the last norm and activation; with the
        imagenet stem the first is the stem's before pooling.
        """
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        dropout = partial(Dropout, self.block_dropout_rate, deterministic=not train)
        x = stem_conv(self.stem, self.stem_width, dtype=self.dtype)(images)
        maps = []
        if self.stem == "imagenet":
            maps.append(x)
            x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        blocks_so_far = 0
        for stage, size in enumerate(self.stage_sizes, start=1):
            for number in range(1, size + 1):
                blocks_so_far += 1
                drop_path = stochastic_depth(
                    self.stochastic_depth_rate,
                    block=blocks_so_far,
                    blocks=sum(self.stage_sizes),
                    train=train,
                )
                x = PreActivationBlock(
                    self.width * 2 ** (stage - 1),
                    2 if stage > 1 and number == 1 else 1,
                    self.bottleneck,
                    norm,
                    activation,
                    dropout,
                    self.dtype,
                    drop_path if self.stochastic_depth_rate else None,
                    name=f"stage{stage}_block{number}",
                )(x)
            maps.append(x)
        maps[-1] = activation(norm(name="final_norm")(x))
        return tuple(maps)


def _wide(depth: int, factor: int) -> dict:
    """Depth 6n + 4 in three stages of n blocks, `factor` times as wide as those of 16 channels."""
    return {
        "stage_sizes": ((depth - 4) // 6,) * 3,
        "bottleneck": False,
        "stem": "cifar",
        "stem_width": 16,
        "width": 16 * factor,
    }


VARIANTS = {
    "resnetv2_50": {"stage_sizes": (3, 4, 6, 3)},
    "resnetv2_101": {"stage_sizes": (3, 4, 23, 3)},
    "resnetv2_152": {"stage_sizes": (3, 8, 36, 3)},
    "resnetv2_18": {"stage_sizes": (2, 2, 2, 2), "bottleneck": False},
    "resnetv2_34": {"stage_sizes": (3, 4, 6, 3), "bottleneck": False},
    "wrn_16_4": _wide(16, 4),
    "wrn_16_8": _wide(16, 8),
    "wrn_28_10": _wide(28, 10),
    "wrn_40_2": _wide(40, 2),
    "wrn_40_4": _wide(40, 4),
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    bottleneck: bool = True,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    stem_width: int = 64,
    width: int = 64,
    block_dropout_rate: float = 0.0,
    dropout_rate: float = 0.0,
    stochastic_depth_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    min_size, hint = check_stem(stem, known=("imagenet", "cifar"))
    if not 0.0 <= block_dropout_rate < 1.0:
        raise UserError(f"block_dropout_rate={block_dropout_rate} must be at least 0 and below 1.")
    backbone = ResNetV2(
        stage_sizes,
        bottleneck,
        stem,
        norm,
        activation,
        stem_width,
        width,
        block_dropout_rate,
        dtype,
        stochastic_depth_rate,
    )
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
