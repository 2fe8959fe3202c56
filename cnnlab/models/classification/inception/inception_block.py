"""The block of Inception networks from the third version on: branches of convolutions side by side.

Szegedy et al. 2015, "Rethinking the Inception architecture", arXiv:1512.00567, figs. 5 to 10.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import avg_pool, max_pool

# A branch is a sequence of channels and kernels; "1x3 | 3x1" is a pair side by side (fig. 7).
PAIR = "1x3 | 3x1"
HIGH, WIDE = (7, 1), (1, 7)
Branch = tuple[tuple[int, int | tuple[int, int] | str], ...]


class InceptionBlock(nn.Module):
    """Branches of convolutions and one that pools, joined along the channels.

    Attributes:
      branches: channels and kernels of each branch, whose last convolution has the stride.
      pooled: channels of the 1x1 convolution after an average over 3x3; 0 takes the maximum, and no
        convolution; None pools nothing.
      stride: 2 halves the map, without padding (fig. 10).
      conv: builds a convolution with its norm and activation.
      count_padding: whether averages at the border count the zeros beyond it.
    """

    branches: Sequence[Branch]
    pooled: int | None
    stride: int
    conv: Callable[..., nn.Module]
    count_padding: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, about height / stride, ..., all channels]."""
        outputs = []
        for number, branch in enumerate(self.branches, start=1):
            y = x
            for step, (channels, kernel) in enumerate(branch, start=1):
                name = f"branch{number}_conv{step}"
                if kernel == PAIR:
                    pair = [
                        self.conv(channels, size, name=f"{name}{letter}")(y)
                        for letter, size in (("a", (1, 3)), ("b", (3, 1)))
                    ]
                    y = jnp.concatenate(pair, axis=-1)
                elif self.stride > 1 and step == len(branch):
                    y = self.conv(channels, kernel, self.stride, padding=0, name=name)(y)
                else:
                    y = self.conv(channels, kernel, name=name)(y)
            outputs.append(y)
        if self.pooled:
            padded = ((1, 1), (1, 1))
            y = avg_pool(x, (3, 3), (1, 1), padded, count_include_pad=self.count_padding)
            outputs.append(self.conv(self.pooled, 1, name="pooled")(y))
        elif self.pooled == 0:
            outputs.append(max_pool(x, (3, 3), (self.stride, self.stride)))
        return jnp.concatenate(outputs, axis=-1)


def scale_channels(channels: int, width: float) -> int:
    """Returns that share of the paper's channels, at least one."""
    return max(1, round(width * channels))


def scale_branches(branches: Sequence[Branch], width: float) -> tuple[Branch, ...]:
    """Returns the branches with that share of the paper's channels."""
    return tuple(tuple((scale_channels(c, width), kernel) for c, kernel in row) for row in branches)


def check_stage_sizes(stage_sizes: Sequence[int]) -> None:
    """Raises a `UserError` if these are not three numbers of blocks, each at least 1."""
    if len(stage_sizes) != 3 or min(stage_sizes) < 1:
        raise UserError(
            f"stage_sizes must be three numbers of blocks, at least 1 each; got "
            f"{tuple(stage_sizes)}."
        )


def make_conv(
    norm: str, norm_place: str, activation: str, train: bool, dtype: jnp.dtype
) -> Callable[..., nn.Module]:
    """Returns a constructor of `ConvNormAct` with train or eval mode bound."""
    # The epsilon is that of the authors' code.
    return partial(
        ConvNormAct,
        norm=make_norm(norm, train=train, dtype=dtype, epsilon=1e-3),
        activation=make_activation(activation),
        norm_place=norm_place,
        dtype=dtype,
    )
