"""The inverted residual block of MobileNetV2, MobileNetV3 and EfficientNet, and what goes with it.

Sandler et al. 2018, arXiv:1801.04381, sec. 3.3; with squeeze-and-excitation as in Howard et al.
2019, arXiv:1905.02244, fig. 4.
"""

from collections.abc import Callable, Iterable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import Activation, Identity
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.squeeze_excite import SqueezeExcite


class InvertedResidual(nn.Module):
    """1x1 convolution to more channels, depthwise convolution, 1x1 convolution to fewer.

    The first is left out where it would keep the width. The input is added where the shapes agree.

    Attributes:
      features: channels of the output.
      expanded: channels in between.
      conv: builds a convolution with its norm and activation, as `cnnlab.nn.conv_norm_act`'s.
      kernel: height and width of the depthwise kernel.
      stride: of the depthwise convolution.
      squeezed: width between the layers of the squeeze-and-excitation; 0 leaves it out.
      squeeze_activation: between them.
      gate: after them.
      dropout: builds the dropout of the branch, e.g. `stochastic_depth`.
      residual: whether the input is added; no block that dilates in place of a stride does it.
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

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        y = x
        if self.expanded != x.shape[-1]:
            y = self.conv(self.expanded, 1, name="expand")(y)
        y = self.conv(
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


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, not more than a tenth below it.

    The rule of the MobileNets' published code, which all widths of these networks follow.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def stochastic_depth(
    rate: float, *, block: int, blocks: int, train: bool
) -> Callable[[], nn.Module]:
    """Builds a dropout of whole branches (Huang et al. 2016, arXiv:1603.09382).

    Args:
      rate: share of examples that lose a branch after the last block.
      block: number of this block, from 0; its share is `rate * block / blocks`, as in the published
        code of EfficientNet.
      blocks: how many there are.
      train: otherwise nothing is dropped.
    """
    return partial(
        Dropout, rate * block / blocks, broadcast_dims=(1, 2, 3), deterministic=not train
    )


def level_strides(stem: int, block_strides: Iterable[int]) -> tuple[int, ...]:
    """Strides of the last map of each resolution, and once more the last for a closing 1x1 layer.

    >>> level_strides(2, [1, 2, 1, 2])
    (2, 4, 8, 8)
    """
    strides = [stem]
    for stride in block_strides:
        if stride > 1:
            strides.append(strides[-1] * stride)
    return (*strides, strides[-1])
