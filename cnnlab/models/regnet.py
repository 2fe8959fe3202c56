"""RegNetY (Radosavovic et al. 2020, "Designing network design spaces", arXiv:2003.13678).

Networks of its figure 16, named after their operations on 224x224 images. Deviations: at 800 MF
and 8 GF the widths are torchvision's, which rounds otherwise to whole groups; the paper's are the
options `widths=(64, 128, 320, 768)` and `widths=(168, 448, 896, 2016)`.
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
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.squeeze_excite import SqueezeExcite

_STEM_WIDTH = 32
_SQUEEZE_RATIO = 0.25


class YBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolution, squeeze-and-excitation and a shortcut (fig. 4).

    All convolutions have the width of the output: the bottleneck ratio is 1, as in the paper's
    networks.

    Attributes:
      features: channels of the output; a multiple of `group_width`.
      stride: of the grouped convolution and of the shortcut.
      group_width: channels of each group.
      norm: builds a normalization layer; the caller has already bound train/eval.
      activation: after the first two norms, inside the squeeze-and-excitation, after the sum.
    """

    features: int
    stride: int
    group_width: int
    norm: Callable[..., nn.Module]
    activation: Activation
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        conv = partial(ConvNormAct, self.features, norm=self.norm, dtype=self.dtype)
        y = conv(1, activation=self.activation, name="conv1")(x)
        groups = self.features // self.group_width
        y = conv(3, self.stride, groups=groups, activation=self.activation, name="conv2")(y)
        # The squeezed width follows the block's input, not the map that is squeezed.
        squeezed = max(1, round(_SQUEEZE_RATIO * x.shape[-1]))
        y = SqueezeExcite(squeezed, self.activation, dtype=self.dtype, name="squeeze_excite")(y)
        y = conv(1, activation=None, name="conv3")(y)
        if y.shape != x.shape:
            x = conv(1, self.stride, activation=None, name="shortcut")(x)
        return self.activation(x + y)


class RegNet(nn.Module):
    """Stem and stages of `YBlock`, each of which halves the map in its first block.

    Attributes:
      stage_sizes: blocks in each stage.
      widths: channels of each stage; multiples of `group_width`.
      group_width: channels of each group of the grouped convolutions.
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: between the layers.
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int]
    group_width: int
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        stem = 2 if self.stem == "imagenet" else 1
        return tuple(stem * 2**stage for stage in range(len(self.stage_sizes) + 1))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the maps of the stem and of each stage."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        x = ConvNormAct(
            _STEM_WIDTH,
            stride=2 if self.stem == "imagenet" else 1,
            norm=norm,
            activation=activation,
            dtype=self.dtype,
            name="stem",
        )(images)
        maps = [x]
        stages = zip(self.stage_sizes, self.widths, strict=True)
        for stage, (size, width) in enumerate(stages, start=1):
            for number in range(1, size + 1):
                x = YBlock(
                    width,
                    2 if number == 1 else 1,
                    self.group_width,
                    norm,
                    activation,
                    self.dtype,
                    name=f"stage{stage}_block{number}",
                )(x)
            maps.append(x)
        return tuple(maps)


VARIANTS = {
    "regnet_y_400mf": {
        "stage_sizes": (1, 3, 6, 6),
        "widths": (48, 104, 208, 440),
        "group_width": 8,
    },
    "regnet_y_800mf": {
        "stage_sizes": (1, 3, 8, 2),
        "widths": (64, 144, 320, 784),
        "group_width": 16,
    },
    "regnet_y_1_6gf": {
        "stage_sizes": (2, 6, 17, 2),
        "widths": (48, 120, 336, 888),
        "group_width": 24,
    },
    "regnet_y_3_2gf": {
        "stage_sizes": (2, 5, 13, 1),
        "widths": (72, 216, 576, 1512),
        "group_width": 24,
    },
    "regnet_y_8gf": {
        "stage_sizes": (2, 4, 10, 1),
        "widths": (224, 448, 896, 2016),
        "group_width": 56,
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    widths: Sequence[int],
    group_width: int,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.0,
) -> Classifier:
    """The whole network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if len(stage_sizes) != len(widths):
        raise UserError(
            f"stage_sizes {tuple(stage_sizes)} and widths {tuple(widths)} differ in length: give "
            "one width for each stage."
        )
    for width in widths:
        if width % group_width:
            raise UserError(
                f"Width {width} is no multiple of group_width {group_width}: change either."
            )
    backbone = RegNet(stage_sizes, widths, group_width, stem, norm, activation, dtype)
    # As of ResNet: at 32 pixels the imagenet stem leaves the last of four stages one pixel.
    min_size, hint = 2 ** len(stage_sizes), ""
    if stem == "imagenet":
        min_size, hint = 2 * min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
