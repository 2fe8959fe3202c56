"""EfficientNet (Tan & Le 2019, "Rethinking model scaling for CNNs", arXiv:1905.11946).

- `efficientnet_b0` to `efficientnet_b7`: table 1 scaled as in sec. 3.3, rounded by the published
  code. Deviations, all as in torchvision: convolutions pad equally on all sides; up to B4, batch
  norm adds 1e-5 and keeps 0.9 of its running statistics. The original networks have `padding=SAME`,
  `norm_epsilon=1e-3` and `norm_momentum=0.99`, the last two from B5 on here too.
- `tf_efficientnet_lite0` to `tf_efficientnet_lite4`: for mobile devices, from the authors'
  repository: no squeeze-and-excitation, ReLU6, the original padding and epsilon. `width` does not
  scale the stem and the last convolution, nor `depth` the first and the last stage.

Convolutions start from normal values of variance 2 / fan-out, the logits' layer from uniform values
up to 1 / sqrt(classes), as in torchvision.
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
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.inverted_residual import (
    FusedInvertedResidual,
    InvertedResidual,
    level_strides,
    round_channels,
)
from cnnlab.nn.stochastic_depth import stochastic_depth

_LAST_EXPANSION = 4
_SQUEEZE_RATIO = 4

# Table 1: expansion, kernel, channels, blocks, stride of the first block.
_STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


class EfficientNet(nn.Module):
    """Stem, stages of inverted residual blocks, a last 1x1 convolution.

    Also the backbone of EfficientNetV2 and of MNASNet.

    Attributes:
      stages: rows of expansion, kernel, channels, blocks and stride of the first block.
      width: multiplies all channels.
      depth: multiplies the blocks of each stage, rounded up.
      scale_ends: whether `width` scales stem and last convolution too, and `depth` the first and
        last stage.
      squeeze_excite: whether blocks have squeeze-and-excitation.
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      padding: `torch` (equal on all sides), `SAME` (TensorFlow's), or an image size in pixels, for
        which TensorFlow's is computed once and kept at all sizes, as in EfficientNet-PyTorch.
      norm: `batch`, `layer`, `group` or `none`.
      norm_epsilon: added to the variance.
      norm_momentum: weight of the old running statistics in an update.
      activation: activation after all convolutions but the last of each block.
      stochastic_depth_rate: probability of dropping the last block's branch in training; rates
        rise linearly from the first block.
      stem_channels: channels of the stem, before multiplication by `width`.
      last_channels: channels of the last convolution; None for four times those of the last stage.
      fused_stages: number of leading stages of `FusedInvertedResidual`.
      project_unexpanded: whether these blocks have their 1x1 projection also where they do not
        expand.
      level_maps: `last` gives the last map of each resolution and that of the last convolution;
        `blocks` gives the former alone, without that convolution; `stem` gives the stem's for the
        finest resolution, and none of the last convolution, which is kept for its weights.
    """

    stages: Sequence[Sequence[int]]
    width: float = 1.0
    depth: float = 1.0
    scale_ends: bool = True
    squeeze_excite: bool = True
    stem: Literal["imagenet", "cifar"] = "imagenet"
    padding: Literal["torch", "SAME"] | int = "torch"
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    norm_momentum: float = 0.9
    activation: str = "silu"
    stochastic_depth_rate: float = 0.2
    dtype: jnp.dtype = jnp.float32
    stem_channels: int = 32
    last_channels: int | None = None
    fused_stages: int = 0
    level_maps: Literal["last", "blocks", "stem"] = "last"
    project_unexpanded: bool = False

    def _blocks(self) -> list[tuple[str, bool, int, int, int, int]]:
        """Name, whether it is fused, expansion, kernel, channels and stride of each block."""
        blocks = []
        for stage, (expansion, kernel, channels, size, stride) in enumerate(self.stages, start=1):
            if self.scale_ends or 1 < stage < len(self.stages):
                size = math.ceil(size * self.depth)
            channels = round_channels(channels * self.width)
            for number in range(1, size + 1):
                name = f"stage{stage}_block{number}"
                first = number == 1
                fused = stage <= self.fused_stages
                blocks.append((name, fused, expansion, kernel, channels, stride if first else 1))
        return blocks

    @property
    def strides(self) -> tuple[int, ...]:
        stem = 2 if self.stem == "imagenet" else 1
        strides = level_strides(stem, (stride for *_, stride in self._blocks()))
        return strides if self.level_maps == "last" else strides[:-1]

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the maps of `level_maps`, fine to coarse."""
        activation = make_activation(self.activation)
        conv = partial(
            ConvNormAct,
            padding="SAME" if self.padding == "SAME" else None,
            norm=make_norm(
                self.norm,
                train=train,
                dtype=self.dtype,
                epsilon=self.norm_epsilon,
                momentum=self.norm_momentum,
            ),
            activation=activation,
            dtype=self.dtype,
        )
        ends = self.width if self.scale_ends else 1.0
        stem_stride = 2 if self.stem == "imagenet" else 1
        pads = _padding(self.padding, 3, stem_stride)
        stem = conv if pads is None else partial(conv, padding=pads)
        x = stem(round_channels(self.stem_channels * ends), 3, stem_stride, name="stem")(images)
        size = _halved(self.padding, stem_stride)
        stem_map, maps, blocks = x, [], self._blocks()
        for number, (name, fused, expansion, kernel, channels, stride) in enumerate(blocks):
            if stride > 1:
                maps.append(x)
            dropout = stochastic_depth(
                self.stochastic_depth_rate, block=number, blocks=len(blocks), train=train
            )
            expanded = expansion * x.shape[-1]
            if fused:
                x = FusedInvertedResidual(
                    channels,
                    expanded,
                    conv,
                    kernel,
                    stride,
                    dropout=dropout,
                    project_unexpanded=self.project_unexpanded,
                    name=name,
                )(x)
                continue
            x = InvertedResidual(
                channels,
                expanded,
                conv,
                kernel,
                stride,
                # The squeezed width follows the block's input, not the map that is squeezed.
                squeezed=x.shape[-1] // _SQUEEZE_RATIO if self.squeeze_excite else 0,
                squeeze_activation=activation,
                dropout=dropout,
                dtype=self.dtype,
                padding=_padding(size, kernel, stride),
                name=name,
            )(x)
            size = _halved(size, stride)
        if self.level_maps == "blocks":
            return (*maps, x)
        last = self.last_channels or _LAST_EXPANSION * round_channels(self.stages[-1][2] * ends)
        if self.level_maps == "last":
            return (*maps, x, conv(last, 1, name="last_conv")(x))
        if self.is_initializing():
            conv(last, 1, name="last_conv")(x)
        return (stem_map, *maps[1:], x)


def _halved(size: str | int, stride: int) -> str | int:
    return -(-size // stride) if isinstance(size, int) else size


def _padding(size: str | int, kernel: int, stride: int) -> list[tuple[int, int]] | None:
    """TensorFlow's padding of a map of that height and width; None where no size is given."""
    if not isinstance(size, int):
        return None
    total = max(0, (_halved(size, stride) - 1) * stride + kernel - size)
    return [(total // 2, total - total // 2)] * 2


_TF_NORM = {"norm_epsilon": 1e-3, "norm_momentum": 0.99}
_LITE = {
    "scale_ends": False,
    "squeeze_excite": False,
    "padding": "SAME",
    "norm_epsilon": 1e-3,
    "activation": "relu6",
}

VARIANTS = {
    "efficientnet_b0": {},
    "efficientnet_b1": {"depth": 1.1},
    "efficientnet_b2": {"width": 1.1, "depth": 1.2, "dropout_rate": 0.3},
    "efficientnet_b3": {"width": 1.2, "depth": 1.4, "dropout_rate": 0.3},
    "efficientnet_b4": {"width": 1.4, "depth": 1.8, "dropout_rate": 0.4},
    "efficientnet_b5": {"width": 1.6, "depth": 2.2, "dropout_rate": 0.4, **_TF_NORM},
    "efficientnet_b6": {"width": 1.8, "depth": 2.6, "dropout_rate": 0.5, **_TF_NORM},
    "efficientnet_b7": {"width": 2.0, "depth": 3.1, "dropout_rate": 0.5, **_TF_NORM},
    "tf_efficientnet_lite0": _LITE,
    "tf_efficientnet_lite1": {"depth": 1.1, **_LITE},
    "tf_efficientnet_lite2": {"width": 1.1, "depth": 1.2, "dropout_rate": 0.3, **_LITE},
    "tf_efficientnet_lite3": {"width": 1.2, "depth": 1.4, "dropout_rate": 0.3, **_LITE},
    "tf_efficientnet_lite4": {"width": 1.4, "depth": 1.8, "dropout_rate": 0.3, **_LITE},
}


def check_level_maps(level_maps: str) -> None:
    """Raises a `UserError` for an unknown value of the option."""
    if level_maps not in ("last", "blocks", "stem"):
        raise UserError(f"Unknown level_maps '{level_maps}': choose last, blocks or stem.")


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stages: Sequence[Sequence[int]] = _STAGES,
    width: float = 1.0,
    depth: float = 1.0,
    scale_ends: bool = True,
    squeeze_excite: bool = True,
    stem: str = "imagenet",
    padding: str | int = "torch",
    norm: str = "batch",
    norm_epsilon: float = 1e-5,
    norm_momentum: float = 0.9,
    activation: str = "silu",
    dropout_rate: float = 0.2,
    stochastic_depth_rate: float = 0.2,
    level_maps: str = "last",
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if padding not in ("torch", "SAME") and type(padding) is not int:
        raise UserError(f"Unknown padding '{padding}': choose torch, SAME or an image size.")
    check_level_maps(level_maps)
    backbone = EfficientNet(
        stages,
        width,
        depth,
        scale_ends,
        squeeze_excite,
        stem,
        padding,
        norm,
        norm_epsilon,
        norm_momentum,
        activation,
        stochastic_depth_rate,
        dtype,
        level_maps=level_maps,
    )
    uniform = nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform")
    head = LinearHead(num_classes, dropout_rate, dtype, kernel_init=uniform)
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
