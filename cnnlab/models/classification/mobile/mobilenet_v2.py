"""MobileNetV2 (Sandler et al. 2018, "Inverted residuals and linear bottlenecks", arXiv:1801.04381).

Table 2 of the paper; `mobilenetv2_*` are its widths of sec. 6.1 under timm's names, and `110d` and
`120d` are timm's, which are deeper too. Deviations:
dropout before the logits, and convolutions that start from normal values of variance 2 / fan-out,
both as in torchvision.

For segmentation, `output_stride=8` or 16 keeps later maps at that stride, as in
`cnnlab.models.classification.resnet`: blocks dilate their depthwise convolutions instead (sec.
6.3).
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.dilation import check_output_stride, dilated_blocks
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.inverted_residual import (
    InvertedResidual,
    level_strides,
    round_channels,
)
from cnnlab.nn.stochastic_depth import stochastic_depth

_STEM_CHANNELS = 32
_LAST_CHANNELS = 1280

# Table 2: expansion, channels, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """Stem, inverted residual blocks, a last 1x1 convolution.

    Attributes:
      stages: rows of expansion, channels, blocks and stride of the first block.
      width: multiplies all channels; those of the last convolution only above 1 (sec. 6.1).
      depth: multiplies the blocks of each stage, rounded up.
      scale_ends: whether `width` scales stem and last convolution too, and `depth` the first and
        last stage.
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      norm_epsilon: added to the variance.
      activation: activation after all convolutions but the last of each block.
      stochastic_depth_rate: probability of dropping the last block's branch in training; rates
        rise linearly from the first block.
      output_stride: largest stride of a map, beyond which blocks dilate; 0 dilates none.
      dilate_first: whether the block that would stride is dilated as those after it.
      level_maps: `last` gives the last map of each resolution and that of the last convolution;
        `blocks` gives the former alone, without that convolution.
    """

    stages: Sequence[Sequence[int]]
    width: float = 1.0
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    activation: str = "relu6"
    stochastic_depth_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    output_stride: int = 0
    dilate_first: bool = False
    depth: float = 1.0
    scale_ends: bool = True
    level_maps: Literal["last", "blocks"] = "last"

    def _blocks(self) -> list[tuple[int, int, int]]:
        """Expansion, channels and stride of each block."""
        blocks = []
        for stage, (expansion, channels, size, stride) in enumerate(self.stages, start=1):
            if self.scale_ends or 1 < stage < len(self.stages):
                size = math.ceil(size * self.depth)
            channels = round_channels(channels * self.width)
            blocks += [(expansion, channels, stride if n == 0 else 1) for n in range(size)]
        return blocks

    @property
    def strides(self) -> tuple[int, ...]:
        strides = level_strides(self._stem_stride, (stride for *_, stride in self._blocks()))
        strides = tuple(min(stride, self.output_stride or stride) for stride in strides)
        return strides if self.level_maps == "last" else strides[:-1]

    @property
    def _stem_stride(self) -> int:
        return 2 if self.stem == "imagenet" else 1

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the last map of each resolution and the last of all.

        The last but one comes from the last block, the last from the 1x1 convolution after it,
        which `level_maps` may leave out.
        """
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype, epsilon=self.norm_epsilon),
            activation=make_activation(self.activation),
            dtype=self.dtype,
        )
        ends = self.width if self.scale_ends else 1.0
        channels = round_channels(_STEM_CHANNELS * ends)
        x = conv(channels, 3, self._stem_stride, name="stem")(images)
        maps, blocks = [], self._blocks()
        steps = dilated_blocks(
            (stride for *_, stride in blocks),
            stem_stride=self._stem_stride,
            output_stride=self.output_stride,
            dilate_first=self.dilate_first,
        )
        for number, (block, step) in enumerate(zip(blocks, steps, strict=True)):
            (expansion, channels, full_stride), (stride, dilation) = block, step
            if full_stride > 1:
                maps.append(x)
            x = InvertedResidual(
                channels,
                expansion * x.shape[-1],
                partial(conv, dilation=dilation),
                stride=stride,
                dropout=stochastic_depth(
                    self.stochastic_depth_rate, block=number, blocks=len(blocks), train=train
                ),
                dtype=self.dtype,
                residual=full_stride == 1,
                name=f"block{number + 1}",
            )(x)
        if self.level_maps == "blocks":
            return (*maps, x)
        last = round_channels(_LAST_CHANNELS * max(1.0, ends))
        return (*maps, x, conv(last, 1, name="last_conv")(x))


VARIANTS = {
    "mobilenet_v2": {},
    "mobilenetv2_035": {"width": 0.35},
    "mobilenetv2_050": {"width": 0.5},
    "mobilenetv2_075": {"width": 0.75},
    "mobilenetv2_140": {"width": 1.4},
    "mobilenetv2_110d": {"width": 1.1, "depth": 1.2, "scale_ends": False},
    "mobilenetv2_120d": {"width": 1.2, "depth": 1.4, "scale_ends": False},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stages: Sequence[Sequence[int]] = _STAGES,
    width: float = 1.0,
    stem: str = "imagenet",
    norm: str = "batch",
    norm_epsilon: float = 1e-5,
    activation: str = "relu6",
    dropout_rate: float = 0.2,
    stochastic_depth_rate: float = 0.0,
    output_stride: int = 0,
    dilate_first: bool = False,
    depth: float = 1.0,
    scale_ends: bool = True,
    level_maps: str = "last",
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if level_maps not in ("last", "blocks"):
        raise UserError(f"Unknown level_maps '{level_maps}': choose last or blocks.")
    check_output_stride(output_stride, finest=2 if stem == "imagenet" else 1, stem=stem)
    backbone = MobileNetV2(
        stages,
        width,
        stem,
        norm,
        norm_epsilon,
        activation,
        stochastic_depth_rate,
        dtype,
        output_stride,
        dilate_first,
        depth,
        scale_ends,
        level_maps,
    )
    head = LinearHead(num_classes, dropout_rate, dtype, kernel_init=nn.initializers.normal(0.01))
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
