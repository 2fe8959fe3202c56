"""ResNet (He et al. 2015, "Deep residual learning for image recognition", arXiv:1512.03385).

Deviations: the stride of a bottleneck sits in its 3x3 convolution, not in its first 1x1 ("v1.5"),
as in torchvision, whose parameter counts these have; shortcuts that change shape are projections
(option B of the paper). The paper starts each norm with scale 1; `zero_init_residual` starts the
last of each block with 0 instead (Goyal et al. 2017, arXiv:1706.02677, sec. 5.1).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.pool import max_pool

_kernel_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (arXiv:1512.03385, fig. 5 left).

    Attributes:
      features: channels of the output.
      stride: of the first convolution and of the shortcut.
      norm: builds a normalization layer; the caller has already bound train/eval.
      activation: after the first norm and after the sum.
      zero_init_residual: start as the identity.
    """

    features: int
    stride: int
    norm: Callable[..., nn.Module]
    activation: Activation
    zero_init_residual: bool = False
    dtype: jnp.dtype = jnp.float32

    expansion = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        conv = partial(Conv, use_bias=False, dtype=self.dtype, kernel_init=_kernel_init)
        y = conv(self.features, (3, 3), self.stride, padding=1, name="conv1")(x)
        y = self.activation(self.norm(name="norm1")(y))
        y = conv(self.features, (3, 3), padding=1, name="conv2")(y)
        y = _last_norm(self.norm, self.zero_init_residual, "norm2")(y)
        if y.shape != x.shape:
            x = conv(self.features, (1, 1), self.stride, padding=0, name="shortcut_conv")(x)
            x = self.norm(name="shortcut_norm")(x)
        return self.activation(x + y)


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolution and a shortcut (arXiv:1512.03385, fig. 5 right).

    Attributes: as of `BasicBlock`; the output has four times as many channels as `features`.
    """

    features: int
    stride: int
    norm: Callable[..., nn.Module]
    activation: Activation
    zero_init_residual: bool = False
    dtype: jnp.dtype = jnp.float32

    expansion = 4

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height/stride, width/stride, 4 * features]."""
        conv = partial(Conv, use_bias=False, dtype=self.dtype, kernel_init=_kernel_init)
        width = self.expansion * self.features
        y = conv(self.features, (1, 1), padding=0, name="conv1")(x)
        y = self.activation(self.norm(name="norm1")(y))
        y = conv(self.features, (3, 3), self.stride, padding=1, name="conv2")(y)
        y = self.activation(self.norm(name="norm2")(y))
        y = conv(width, (1, 1), padding=0, name="conv3")(y)
        y = _last_norm(self.norm, self.zero_init_residual, "norm3")(y)
        if y.shape != x.shape:
            x = conv(width, (1, 1), self.stride, padding=0, name="shortcut_conv")(x)
            x = self.norm(name="shortcut_norm")(x)
        return self.activation(x + y)


def _last_norm(norm: Callable[..., nn.Module], zero_init: bool, name: str) -> nn.Module:
    # Only a norm with a scale can start at zero: with norm="none" there is none to set.
    if zero_init:
        return norm(name=name, scale_init=nn.initializers.zeros_init())
    return norm(name=name)


class ResNet(nn.Module):
    """Stem and four stages of residual blocks.

    Attributes:
      stage_sizes: blocks in each stage.
      block: `BasicBlock` or `BottleneckBlock`.
      stem: `imagenet` (7x7 stride 2, then 3x3 max pooling stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: between the layers.
      zero_init_residual: start every block as the identity.
      width: channels of the first stage; each stage doubles them.
    """

    stage_sizes: Sequence[int]
    block: type[nn.Module]
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    zero_init_residual: bool = False
    width: int = 64
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        first = (2, 4) if self.stem == "imagenet" else (1,)
        later = len(self.stage_sizes) - 1
        return (*first, *(first[-1] * 2**stage for stage in range(1, later + 1)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the maps that `strides` names.

        With the imagenet stem the first is the stem's before pooling; the others are the stages'.
        """
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        conv = partial(Conv, use_bias=False, dtype=self.dtype, kernel_init=_kernel_init)
        maps = []
        if self.stem == "imagenet":
            x = conv(self.width, (7, 7), 2, padding=3, name="stem_conv")(images)
            x = activation(norm(name="stem_norm")(x))
            maps.append(x)
            x = max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        else:
            x = conv(self.width, (3, 3), padding=1, name="stem_conv")(images)
            x = activation(norm(name="stem_norm")(x))
        for stage, size in enumerate(self.stage_sizes, start=1):
            for number in range(1, size + 1):
                x = self.block(
                    features=self.width * 2 ** (stage - 1),
                    stride=2 if stage > 1 and number == 1 else 1,
                    norm=norm,
                    activation=activation,
                    zero_init_residual=self.zero_init_residual,
                    dtype=self.dtype,
                    name=f"stage{stage}_block{number}",
                )(x)
            maps.append(x)
        return tuple(maps)


VARIANTS = {
    "resnet18": {"block": BasicBlock, "stage_sizes": (2, 2, 2, 2)},
    "resnet34": {"block": BasicBlock, "stage_sizes": (3, 4, 6, 3)},
    "resnet50": {"block": BottleneckBlock, "stage_sizes": (3, 4, 6, 3)},
    "resnet101": {"block": BottleneckBlock, "stage_sizes": (3, 4, 23, 3)},
    "resnet152": {"block": BottleneckBlock, "stage_sizes": (3, 8, 36, 3)},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    block: type[nn.Module],
    stage_sizes: Sequence[int],
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    zero_init_residual: bool = False,
    width: int = 64,
    dropout_rate: float = 0.0,
) -> Classifier:
    """The whole network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (7x7/2) or cifar (3x3/1).")
    if zero_init_residual and norm == "none":
        raise UserError("zero_init_residual needs a norm to set to zero, and norm is none.")
    backbone = ResNet(stage_sizes, block, stem, norm, activation, zero_init_residual, width, dtype)
    # Below 33 pixels the imagenet stem leaves the last stage one pixel: it would run, and learn
    # little. That is a silent loss; ask for the cifar stem instead.
    min_size, hint = (33, ", or model.options.stem=cifar") if stem == "imagenet" else (8, "")
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
