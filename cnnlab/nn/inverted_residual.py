"""The inverted residual block of MobileNetV2, MobileNetV3 and EfficientNet.

Sandler et al. 2018, arXiv:1801.04381, sec. 3.3; with squeeze-and-excitation as in Howard et al.
2019, arXiv:1905.02244, fig. 4; its fused form as in Tan & Le 2021, arXiv:2104.00298, fig. 2.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import Activation, Identity
from cnnlab.nn.squeeze_excite import SqueezeExcite


class InvertedResidual(nn.Module):
    """1x1 convolution that expands the channels, depthwise convolution, 1x1 projection.

    The first is omitted if it would not change the width. The input is added if shapes agree.

    Attributes:
      features: channels of the output.
      expanded: channels in between.
      conv: builds a convolution with its norm and activation, as `cnnlab.nn.conv_norm_act`'s.
      kernel: height and width of the depthwise kernel.
      stride: stride of the depthwise convolution.
      squeezed: width between the squeeze-and-excitation's layers; 0 omits it.
      squeeze_activation: activation between those layers.
      gate: activation after them, which maps to [0, 1].
      dropout: builds the dropout of the branch, e.g. `stochastic_depth`.
      residual: whether the input may be added; False where dilation replaces a stride.
      padding: padding of the depthwise convolution; None leaves it to `conv`.
    """

    features: int
    expanded: int
    conv: Callable[..., nn.Module]
    kernel: int = 3
    stride: int = 1
    squeezed: int = 0
    squeeze_activation: Activation = nn.relu
    gate: Activation = nn.sigmoid
    dropout: Callable[[], nn.Module] = Identity
    dtype: jnp.dtype = jnp.float32
    residual: bool = True
    padding: Sequence[tuple[int, int]] | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        y = x
        if self.expanded != x.shape[-1]:
            y = self.conv(self.expanded, 1, name="expand")(y)
        depthwise = self.conv if self.padding is None else partial(self.conv, padding=self.padding)
        y = depthwise(
            self.expanded, self.kernel, self.stride, groups=self.expanded, name="depthwise"
        )(y)
        if self.squeezed:
            y = SqueezeExcite(
                self.squeezed,
                self.squeeze_activation,
                self.gate,
                self.dtype,
                name="squeeze_excite",
            )(y)
        y = self.conv(self.features, 1, activation=None, name="project")(y)
        if self.residual and self.stride == 1 and self.features == x.shape[-1]:
            y = x + self.dropout()(y)
        return y


class FusedInvertedResidual(nn.Module):
    """One dense convolution replaces the expansion and the depthwise one; then a 1x1 projection.

    If the width is not expanded, the dense convolution is all, unless `project_unexpanded`. The
    input is added if shapes agree.

    Attributes:
      features: channels of the output.
      expanded: channels in between.
      conv: builds a convolution with its norm and activation, as `cnnlab.nn.conv_norm_act`'s.
      kernel: height and width of the dense kernel.
      stride: stride of the dense convolution.
      dropout: builds the dropout of the branch, e.g. `stochastic_depth`.
      project_unexpanded: whether the projection follows also where the width is not expanded.
    """

    features: int
    expanded: int
    conv: Callable[..., nn.Module]
    kernel: int = 3
    stride: int = 1
    dropout: Callable[[], nn.Module] = Identity
    project_unexpanded: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        if self.expanded == x.shape[-1] and not self.project_unexpanded:
            y = self.conv(self.features, self.kernel, self.stride, name="conv")(x)
        else:
            y = self.conv(self.expanded, self.kernel, self.stride, name="expand")(x)
            y = self.conv(self.features, 1, activation=None, name="project")(y)
        return x + self.dropout()(y) if x.shape == y.shape else y


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, not more than a tenth below it.

    The rule of the MobileNets' published code, which all widths of these networks follow.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def level_strides(stem: int, block_strides: Iterable[int]) -> tuple[int, ...]:
    """Strides of the last map of each resolution; the last is repeated for a final 1x1 layer.

    >>> level_strides(2, [1, 2, 1, 2])
    (2, 4, 8, 8)
    """
    strides = [stem]
    for stride in block_strides:
        if stride > 1:
            strides.append(strides[-1] * stride)
    return (*strides, strides[-1])
