"""MobileNetV3 (Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244).

Tables 1 and 2 of the paper. Deviations: the squeeze-and-excitation's width, a quarter of the
expanded one, is rounded to a multiple of 8, as in the published code; convolutions start from
normal values of variance 2 / fan-out, as in torchvision.

For segmentation, `output_stride` and `dilate_first` are as in
`cnnlab.models.classification.mobile.mobilenet_v2`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.dilation import check_output_stride, dilated_blocks
from cnnlab.models.heads import DenseHead
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.inverted_residual import (
    InvertedResidual,
    level_strides,
    round_channels,
)
from cnnlab.nn.stochastic_depth import stochastic_depth

_STEM_CHANNELS = 16
_LAST_EXPANSION = 6
_NORM_MOMENTUM = 0.99

# The columns of tables 1 and 2: kernel, expanded channels, channels, squeeze-and-excitation,
# nonlinearity (RE: ReLU, HS: the option `activation`, hard swish in the paper), stride.
_LARGE = (
    (3, 16, 16, False, "RE", 1),
    (3, 64, 24, False, "RE", 2),
    (3, 72, 24, False, "RE", 1),
    (5, 72, 40, True, "RE", 2),
    (5, 120, 40, True, "RE", 1),
    (5, 120, 40, True, "RE", 1),
    (3, 240, 80, False, "HS", 2),
    (3, 200, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 480, 112, True, "HS", 1),
    (3, 672, 112, True, "HS", 1),
    (5, 672, 160, True, "HS", 2),
    (5, 960, 160, True, "HS", 1),
    (5, 960, 160, True, "HS", 1),
)
_SMALL = (
    (3, 16, 16, True, "RE", 2),
    (3, 72, 24, False, "RE", 2),
    (3, 88, 24, False, "RE", 1),
    (5, 96, 40, True, "HS", 2),
    (5, 240, 40, True, "HS", 1),
    (5, 240, 40, True, "HS", 1),
    (5, 120, 48, True, "HS", 1),
    (5, 144, 48, True, "HS", 1),
    (5, 288, 96, True, "HS", 2),
    (5, 576, 96, True, "HS", 1),
    (5, 576, 96, True, "HS", 1),
)

# timm's narrower networks: it multiplies the channels of blocks by 0.5 or 0.75 and expands these,
# where `width` multiplies the expanded channels of the tables.
_SMALL_050 = (
    (3, 16, 8, True, "RE", 2),
    (3, 40, 16, False, "RE", 2),
    (3, 56, 16, False, "RE", 1),
    (5, 64, 24, True, "HS", 2),
    (5, 144, 24, True, "HS", 1),
    (5, 144, 24, True, "HS", 1),
    (5, 72, 24, True, "HS", 1),
    (5, 72, 24, True, "HS", 1),
    (5, 144, 48, True, "HS", 2),
    (5, 288, 48, True, "HS", 1),
    (5, 288, 48, True, "HS", 1),
)
_SMALL_075 = (
    (3, 16, 16, True, "RE", 2),
    (3, 72, 24, False, "RE", 2),
    (3, 88, 24, False, "RE", 1),
    (5, 96, 32, True, "HS", 2),
    (5, 192, 32, True, "HS", 1),
    (5, 192, 32, True, "HS", 1),
    (5, 96, 40, True, "HS", 1),
    (5, 120, 40, True, "HS", 1),
    (5, 240, 72, True, "HS", 2),
    (5, 432, 72, True, "HS", 1),
    (5, 432, 72, True, "HS", 1),
)
_LARGE_075 = (
    (3, 16, 16, False, "RE", 1),
    (3, 64, 24, False, "RE", 2),
    (3, 72, 24, False, "RE", 1),
    (5, 72, 32, True, "RE", 2),
    (5, 96, 32, True, "RE", 1),
    (5, 96, 32, True, "RE", 1),
    (3, 192, 64, False, "HS", 2),
    (3, 160, 64, False, "HS", 1),
    (3, 144, 64, False, "HS", 1),
    (3, 144, 64, False, "HS", 1),
    (3, 384, 88, True, "HS", 1),
    (3, 528, 88, True, "HS", 1),
    (5, 528, 120, True, "HS", 2),
    (5, 720, 120, True, "HS", 1),
    (5, 720, 120, True, "HS", 1),
)


class MobileNetV3(nn.Module):
    """Stem, inverted residual blocks, a last 1x1 convolution.

    Attributes:
      blocks: rows of kernel, expanded channels, channels, whether there is squeeze-and-excitation,
        nonlinearity (`RE` or `HS`) and stride.
      width: multiplies all channels.
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      norm_epsilon: added to the variance.
      activation: activation of the stem, the blocks marked `HS` and the last convolution.
      stochastic_depth_rate: probability of dropping the last block's branch in training; rates
        rise linearly from the first block.
      output_stride: largest stride of a map, beyond which blocks dilate; 0 dilates none.
      dilate_first: whether the block that would stride is dilated as those after it.
      map_block: `last` or `first`: which block of a resolution gives its map.
    """

    blocks: Sequence[tuple[int, int, int, bool, str, int]]
    width: float = 1.0
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    norm_epsilon: float = 1e-3
    activation: str = "hard_swish"
    stochastic_depth_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    output_stride: int = 0
    dilate_first: bool = False
    map_block: Literal["last", "first"] = "last"

    @property
    def strides(self) -> tuple[int, ...]:
        strides = level_strides(self._stem_stride, (stride for *_, stride in self.blocks))
        return tuple(min(stride, self.output_stride or stride) for stride in strides)

    @property
    def _stem_stride(self) -> int:
        return 2 if self.stem == "imagenet" else 1

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to a map of each resolution and the last of all.

        The last comes from the 1x1 convolution after the last block.
        """
        norm = make_norm(
            self.norm,
            train=train,
            dtype=self.dtype,
            epsilon=self.norm_epsilon,
            momentum=_NORM_MOMENTUM,
        )
        conv = partial(ConvNormAct, norm=norm, dtype=self.dtype)
        late = partial(conv, activation=make_activation(self.activation))
        channels = round_channels(_STEM_CHANNELS * self.width)
        x = late(channels, 3, self._stem_stride, name="stem")(images)
        firsts, lasts = [x], []
        steps = dilated_blocks(
            (stride for *_, stride in self.blocks),
            stem_stride=self._stem_stride,
            output_stride=self.output_stride,
            dilate_first=self.dilate_first,
        )
        for number, (row, step) in enumerate(zip(self.blocks, steps, strict=True)):
            kernel, expanded, channels, squeeze, nonlinearity, full_stride = row
            stride, dilation = step
            expanded = round_channels(expanded * self.width)
            if full_stride > 1:
                lasts.append(x)
            x = InvertedResidual(
                round_channels(channels * self.width),
                expanded,
                partial(late if nonlinearity == "HS" else conv, dilation=dilation),
                kernel,
                stride,
                squeezed=round_channels(expanded // 4) if squeeze else 0,
                gate=nn.hard_sigmoid,
                dropout=stochastic_depth(
                    self.stochastic_depth_rate, block=number, blocks=len(self.blocks), train=train
                ),
                dtype=self.dtype,
                residual=full_stride == 1,
                name=f"block{number + 1}",
            )(x)
            if full_stride > 1:
                firsts.append(x)
        maps = firsts if self.map_block == "first" else (*lasts, x)
        return (*maps, late(_LAST_EXPANSION * x.shape[-1], 1, name="last_conv")(x))


VARIANTS = {
    "mobilenet_v3_small": {"blocks": _SMALL, "hidden": 1024},
    "mobilenet_v3_large": {"blocks": _LARGE, "hidden": 1280},
    "mobilenetv3_small_050": {"blocks": _SMALL_050, "hidden": 1024, "norm_epsilon": 1e-5},
    "mobilenetv3_small_075": {"blocks": _SMALL_075, "hidden": 1024, "norm_epsilon": 1e-5},
    "mobilenetv3_large_075": {"blocks": _LARGE_075, "hidden": 1280, "norm_epsilon": 1e-5},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    blocks: Sequence[tuple[int, int, int, bool, str, int]],
    hidden: int,
    width: float = 1.0,
    stem: str = "imagenet",
    norm: str = "batch",
    norm_epsilon: float = 1e-3,
    activation: str = "hard_swish",
    dropout_rate: float = 0.2,
    stochastic_depth_rate: float = 0.0,
    output_stride: int = 0,
    dilate_first: bool = False,
    map_block: str = "last",
) -> Classifier:
    """Builds the network; `hidden` is the width of the dense layer before the logits."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if map_block not in ("last", "first"):
        raise UserError(f"Unknown map_block '{map_block}': choose last or first.")
    for row in blocks:
        if row[4] not in ("RE", "HS"):
            raise UserError(f"Unknown nonlinearity '{row[4]}' in block {tuple(row)}: RE or HS.")
    check_output_stride(output_stride, finest=2 if stem == "imagenet" else 1, stem=stem)
    backbone = MobileNetV3(
        blocks,
        width,
        stem,
        norm,
        norm_epsilon,
        activation,
        stochastic_depth_rate,
        dtype,
        output_stride,
        dilate_first,
        map_block,
    )
    head = DenseHead(
        num_classes,
        (round_channels(hidden * width),),
        activation,
        dropout_rate,
        dtype,
        pool_size=1,
        kernel_init=nn.initializers.normal(0.01),
    )
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
