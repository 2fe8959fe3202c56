"""RegNet (Radosavovic et al. 2020, "Designing network design spaces", arXiv:2003.13678).

Networks of its figures 15 and 16, named after their operations on 224x224 images: RegNetX, and
RegNetY with squeeze-and-excitation; `regnet_y_128gf` follows the rule of sec. 3.3 with the values
of torchvision, which the paper does not list. Deviations: `regnet_x_400mf`, `regnet_y_800mf` and
`regnet_y_8gf` have torchvision's widths, which rounds otherwise to whole groups; the paper's are
the options `widths=(32, 64, 160, 384)`, `widths=(64, 128, 320, 768)` and
`widths=(168, 448, 896, 2016)`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

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


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolution, with a shortcut (fig. 4).

    All convolutions have the width of the output: the bottleneck ratio is 1, as in the paper's
    networks.

    Attributes:
      features: channels of the output; a multiple of `group_width`, or less than it.
      stride: stride of the grouped convolution and of the shortcut.
      group_width: channels of each group.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after the first two norms, inside the squeeze-and-excitation, after the
        sum.
      squeeze_excite: whether the grouped convolution's map is scaled so (RegNetY).
    """

    features: int
    stride: int
    group_width: int
    norm: Callable[..., nn.Module]
    activation: Activation
    squeeze_excite: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        conv = partial(ConvNormAct, self.features, norm=self.norm, dtype=self.dtype)
        y = conv(1, activation=self.activation, name="conv1")(x)
        groups = self.features // min(self.group_width, self.features)
        y = conv(3, self.stride, groups=groups, activation=self.activation, name="conv2")(y)
        if self.squeeze_excite:
            # The squeezed width follows the block's input, not the map that is squeezed.
            squeezed = max(1, round(_SQUEEZE_RATIO * x.shape[-1]))
            y = SqueezeExcite(squeezed, self.activation, dtype=self.dtype, name="squeeze_excite")(y)
        y = conv(1, activation=None, name="conv3")(y)
        if y.shape != x.shape:
            x = conv(1, self.stride, activation=None, name="shortcut")(x)
        return self.activation(x + y)


class RegNet(nn.Module):
    """Stem and stages of `RegNetBlock`, each of which halves the map in its first block.

    Attributes:
      stage_sizes: blocks in each stage.
      widths: channels of each stage; multiples of `group_width`, or less than it.
      group_width: channels of each group of the grouped convolutions.
      squeeze_excite: whether blocks have squeeze-and-excitation.
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation between the layers.
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int]
    group_width: int
    squeeze_excite: bool = True
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
                x = RegNetBlock(
                    width,
                    2 if number == 1 else 1,
                    self.group_width,
                    norm,
                    activation,
                    self.squeeze_excite,
                    self.dtype,
                    name=f"stage{stage}_block{number}",
                )(x)
            maps.append(x)
        return tuple(maps)


# Blocks, widths and group width, as sec. 3.3 and the parameters of figures 15 and 16 give them.
_X = {
    "400mf": ((1, 2, 7, 12), (32, 64, 160, 400), 16),
    "800mf": ((1, 3, 7, 5), (64, 128, 288, 672), 16),
    "1_6gf": ((2, 4, 10, 2), (72, 168, 408, 912), 24),
    "3_2gf": ((2, 6, 15, 2), (96, 192, 432, 1008), 48),
    "8gf": ((2, 5, 15, 1), (80, 240, 720, 1920), 120),
    "16gf": ((2, 6, 13, 1), (256, 512, 896, 2048), 128),
    "32gf": ((2, 7, 13, 1), (336, 672, 1344, 2520), 168),
}
_Y = {
    "400mf": ((1, 3, 6, 6), (48, 104, 208, 440), 8),
    "800mf": ((1, 3, 8, 2), (64, 144, 320, 784), 16),
    "1_6gf": ((2, 6, 17, 2), (48, 120, 336, 888), 24),
    "3_2gf": ((2, 5, 13, 1), (72, 216, 576, 1512), 24),
    "8gf": ((2, 4, 10, 1), (224, 448, 896, 2016), 56),
    "16gf": ((2, 4, 11, 1), (224, 448, 1232, 3024), 112),
    "32gf": ((2, 5, 12, 1), (232, 696, 1392, 3712), 232),
    "128gf": ((2, 7, 17, 1), (528, 1056, 2904, 7392), 264),
}


def _options(row: tuple[tuple[int, ...], tuple[int, ...], int]) -> dict[str, Any]:
    return dict(zip(("stage_sizes", "widths", "group_width"), row, strict=True))


VARIANTS = {
    **{f"regnet_x_{size}": _options(row) | {"squeeze_excite": False} for size, row in _X.items()},
    **{f"regnet_y_{size}": _options(row) for size, row in _Y.items()},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    widths: Sequence[int],
    group_width: int,
    squeeze_excite: bool = True,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if len(stage_sizes) != len(widths):
        raise UserError(
            f"stage_sizes {tuple(stage_sizes)} and widths {tuple(widths)} differ in length: give "
            "one width for each stage."
        )
    for width in widths:
        if width > group_width and width % group_width:
            raise UserError(
                f"Width {width} is no multiple of group_width {group_width}: change either."
            )
    backbone = RegNet(
        stage_sizes, widths, group_width, squeeze_excite, stem, norm, activation, dtype
    )
    # As of ResNet: at 32 pixels the imagenet stem leaves the last of four stages one pixel.
    min_size, hint = 2 ** len(stage_sizes), ""
    if stem == "imagenet":
        min_size, hint = 2 * min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
