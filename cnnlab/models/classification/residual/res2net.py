"""Res2Net (Gao et al. 2019, "Res2Net: a new multi-scale backbone architecture", arXiv:1904.01169).

A ResNet whose 3x3 convolution is replaced by several on parts of its channels, each of which also
gets the output of the one before (sec. 3.1). `res2net50_26w_4s` has 4 parts (s in the paper) of 26
channels (w) in the first stage; in `res2next50` these convolutions have 8 groups (sec. 3.2).
`res2net50d` and `res2net101d` have the stem and the shortcuts of ResNet-D (He et al. 2018,
arXiv:1812.01187, sec. 4.2), as in timm.

Deviations: as in the authors' code and timm, the first block of each stage adds no part to the
next, and averages the last part over 3x3 pixels. `output_stride` and `dilate_first` are those of
`cnnlab.models.classification.resnet`: that average dilates with the convolutions, so that every
second position is the map of the network that strides; timm's does not.
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
from cnnlab.nn.multi_scale_conv import apply_multi_scale_conv
from cnnlab.nn.resnet_stem import check_stem, stage_strides


class Res2NetBlock(ResidualBlock):
    """1x1 convolution, 3x3 convolutions on parts of its channels, 1x1 convolution, and a shortcut.

    Attributes:
      scale: number of parts; s in the paper.
    """

    scale: int = 4

    expansion = 4

    @nn.compact
    def __call__(self, x: jax.Array, identity: jax.Array | None = None) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height/stride, width/stride, 4 * features].

        Args:
          x: the map.
          identity: map to add to the branch, in place of `x`.
        """
        part = self.features * self.group_width // 64 * self.groups
        outputs = self.expansion * self.features
        y = self.conv(part * self.scale, 1, "conv1")(x)
        y = self.activation(self.norm(name="norm1")(y))
        y = apply_multi_scale_conv(
            y,
            self.scale,
            conv=lambda features, name: self.conv(
                features, 3, name, self.stride, self.groups, self.first_dilation
            ),
            norm=self.norm,
            activation=self.activation,
            separate=self.stride > 1 or x.shape[-1] != outputs,
            stride=self.stride,
            dilation=self.first_dilation,
        )
        y = self.conv(outputs, 1, "conv3")(y)
        return self.add_shortcut(x if identity is None else identity, self.last_norm("norm3")(y))


_50, _101 = (3, 4, 6, 3), (3, 4, 23, 3)
_D = {"stem": "deep", "shortcut": "pooled"}
# `group_width` is the channels of a part in the first stage; w in the paper.
VARIANTS = {
    **{
        f"res2net50_{width}w_{scale}s": {"stage_sizes": _50, "scale": scale, "group_width": width}
        for width, scale in ((14, 8), (26, 4), (26, 6), (26, 8), (48, 2))
    },
    "res2net101_26w_4s": {"stage_sizes": _101, "scale": 4, "group_width": 26},
    "res2next50": {"stage_sizes": _50, "scale": 4, "group_width": 4, "groups": 8},
    "res2net50d": {"stage_sizes": _50, "scale": 4, "group_width": 26} | _D,
    "res2net101d": {"stage_sizes": _101, "scale": 4, "group_width": 26} | _D,
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    scale: int,
    group_width: int,
    groups: int = 1,
    width: int = 64,
    stem: str = "imagenet",
    shortcut: str = "projection",
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
    if scale < 2:
        raise UserError(f"scale={scale} must be at least 2: with one part it is a ResNet.")
    check_residual(
        width, group_width, shortcut=shortcut, zero_init_residual=zero_init_residual, norm=norm
    )
    block = partial(
        Res2NetBlock,
        scale=scale,
        groups=groups,
        group_width=group_width,
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
    )
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
