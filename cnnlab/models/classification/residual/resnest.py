"""ResNeSt (Zhang et al. 2020, "ResNeSt: split-attention networks", arXiv:2004.08955).

A ResNet-D (He et al. 2018, arXiv:1812.01187, sec. 4.2) whose 3x3 convolution is split attention
(sec. 3.1); a block that strides does so by a 3x3 average (sec. 4.1). The letter `d` stands for a
stem that ends in 64 channels, `e` for one that ends in 128. `resnest50d_4s2x40d` has 4 splits, 2
groups and 40 channels in each group of the first stage, and `resnest50d_1s4x24d` 1, 4 and 24; both
average before the split attention.

Deviations: as in timm, the width between the layers of the attention is rounded to a multiple of 8.
`output_stride` and `dilate_first` are those of `cnnlab.models.classification.resnet`: the averages
dilate with the convolutions, where timm's dilated network has none.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.resnet import ResidualBlock, ResNet, check_residual
from cnnlab.models.classifier import Classifier
from cnnlab.models.dilation import check_output_stride
from cnnlab.models.heads import LinearHead
from cnnlab.nn.pool import avg_pool_padded
from cnnlab.nn.resnet_stem import check_stem, stage_strides
from cnnlab.nn.split_attention import SplitAttention


class ResNeStBlock(ResidualBlock):
    """1x1 convolution, split attention of 3x3 convolutions, 1x1 convolution, and a shortcut.

    Attributes:
      radix: number of splits; R in the paper.
      pool_first: whether a block that strides averages before the split attention, not after it.
    """

    radix: int = 2
    pool_first: bool = False

    expansion = 4

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height/stride, width/stride, 4 * features]."""
        inner = self.features * self.group_width // 64 * self.groups
        outputs = self.expansion * self.features
        # A dilated block that would stride averages at every position.
        pools = self.stride > 1 or (self.dilation > 1 and x.shape[-1] != outputs)
        pool = partial(avg_pool_padded, window=3, stride=self.stride, dilation=self.first_dilation)
        y = self.conv(inner, 1, "conv1")(x)
        y = self.activation(self.norm(name="norm1")(y))
        if pools and self.pool_first:
            y = pool(y)
        y = SplitAttention(
            inner,
            self.radix,
            self.norm,
            self.activation,
            self.groups,
            self.dilation if self.pool_first else self.first_dilation,
            self.dtype,
            name="split_attention",
        )(y)
        if pools and not self.pool_first:
            y = pool(y)
        y = self.conv(outputs, 1, "conv3")(y)
        return self.add_shortcut(x, self.last_norm("norm3")(y))


_50, _101 = (3, 4, 6, 3), (3, 4, 23, 3)
VARIANTS = {
    "resnest14d": {"stage_sizes": (1, 1, 1, 1)},
    "resnest26d": {"stage_sizes": (2, 2, 2, 2)},
    "resnest50d": {"stage_sizes": _50},
    "resnest101e": {"stage_sizes": _101, "stem_width": 128},
    "resnest200e": {"stage_sizes": (3, 24, 36, 3), "stem_width": 128},
    "resnest269e": {"stage_sizes": (3, 30, 48, 8), "stem_width": 128},
    "resnest50d_1s4x24d": {
        "stage_sizes": _50,
        "radix": 1,
        "groups": 4,
        "group_width": 24,
        "pool_first": True,
    },
    "resnest50d_4s2x40d": {
        "stage_sizes": _50,
        "radix": 4,
        "groups": 2,
        "group_width": 40,
        "pool_first": True,
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    radix: int = 2,
    groups: int = 1,
    group_width: int = 64,
    pool_first: bool = False,
    width: int = 64,
    stem: str = "deep",
    stem_width: int = 64,
    shortcut: str = "pooled",
    norm: str = "batch",
    activation: str = "relu",
    zero_init_residual: bool = False,
    dropout_rate: float = 0.0,
    output_stride: int = 0,
    dilate_first: bool = False,
    stochastic_depth_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    min_size, hint = check_stem(stem)
    check_output_stride(output_stride, finest=stage_strides(stem, 1)[-1], stem=stem)
    check_residual(
        width, group_width, shortcut=shortcut, zero_init_residual=zero_init_residual, norm=norm
    )
    inner = width * group_width // 64 * groups
    if radix < 1 or inner % (radix * groups):
        raise UserError(
            f"radix={radix} must be at least 1, and divide the {inner // groups} channels of each "
            f"group of the first stage (width={width}, group_width={group_width})."
        )
    block = partial(
        ResNeStBlock,
        radix=radix,
        groups=groups,
        group_width=group_width,
        pool_first=pool_first,
        shortcut=shortcut,
        zero_init_residual=zero_init_residual,
    )
    backbone = ResNet(
        stage_sizes,
        block,
        stem,
        norm,
        activation,
        width,
        dtype=dtype,
        output_stride=output_stride,
        dilate_first=dilate_first,
        stochastic_depth_rate=stochastic_depth_rate,
        stem_width=stem_width,
    )
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
