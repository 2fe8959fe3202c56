"""MobileNetV4 (Qin et al. 2024, "Universal models for the mobile ecosystem", arXiv:2404.10518).

The convolutional networks of the appendix's tables, under timm's names: `small`, also in the widths
0.35 and 0.5, `medium` and `large`. In timm's `aa` and `blur` networks the convolutions that would
stride do not, and a pooling after them halves the map instead. Deviations: the dropout before the
logits is 0.2 in all of them; convolutions start from normal values of variance 2 / fan-out.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.inverted_residual import FusedInvertedResidual, level_strides, round_channels
from cnnlab.nn.pool import avg_pool, blur_pool
from cnnlab.nn.stochastic_depth import stochastic_depth
from cnnlab.nn.universal_inverted_bottleneck import UniversalInvertedBottleneck

_LAST_CHANNELS = 960
_HIDDEN = 1280

# Kind, kernel before the expansion, kernel, expansion, channels, stride.
_Row = tuple[str, int, int, int, int, int]


def _conv(kernel: int, channels: int, stride: int = 1) -> _Row:
    return "conv", 0, kernel, 1, channels, stride


def _fused(kernel: int, expansion: int, channels: int, stride: int) -> _Row:
    return "fused", 0, kernel, expansion, channels, stride


def _uib(start: int, kernel: int, expansion: int, channels: int, stride: int = 1) -> _Row:
    return "uib", start, kernel, expansion, channels, stride


_SMALL = (
    (_conv(3, 32, 2), _conv(1, 32)),
    (_conv(3, 96, 2), _conv(1, 64)),
    (_uib(5, 5, 3, 96, 2), *[_uib(0, 3, 2, 96)] * 4, _uib(3, 0, 4, 96)),
    (
        _uib(3, 3, 6, 128, 2),
        _uib(5, 5, 4, 128),
        _uib(0, 5, 4, 128),
        _uib(0, 5, 3, 128),
        *[_uib(0, 3, 4, 128)] * 2,
    ),
)
_MEDIUM = (
    (_fused(3, 4, 48, 2),),
    (_uib(3, 5, 4, 80, 2), _uib(3, 3, 2, 80)),
    (
        _uib(3, 5, 6, 160, 2),
        *[_uib(3, 3, 4, 160)] * 2,
        _uib(3, 5, 4, 160),
        _uib(3, 3, 4, 160),
        _uib(3, 0, 4, 160),
        _uib(0, 0, 2, 160),
        _uib(3, 0, 4, 160),
    ),
    (
        _uib(5, 5, 6, 256, 2),
        _uib(5, 5, 4, 256),
        *[_uib(3, 5, 4, 256)] * 2,
        _uib(0, 0, 4, 256),
        _uib(3, 0, 4, 256),
        _uib(3, 5, 2, 256),
        _uib(5, 5, 4, 256),
        *[_uib(0, 0, 4, 256)] * 2,
        _uib(5, 0, 2, 256),
    ),
)
_LARGE = (
    (_fused(3, 4, 48, 2),),
    (_uib(3, 5, 4, 96, 2), _uib(3, 3, 4, 96)),
    (
        _uib(3, 5, 4, 192, 2),
        *[_uib(3, 3, 4, 192)] * 3,
        _uib(3, 5, 4, 192),
        *[_uib(5, 3, 4, 192)] * 5,
        _uib(3, 0, 4, 192),
    ),
    (
        _uib(5, 5, 4, 512, 2),
        *[_uib(5, 5, 4, 512)] * 3,
        _uib(5, 0, 4, 512),
        _uib(5, 3, 4, 512),
        *[_uib(5, 0, 4, 512)] * 2,
        _uib(5, 3, 4, 512),
        _uib(5, 5, 4, 512),
        *[_uib(5, 0, 4, 512)] * 3,
    ),
)

_POOLS = {
    "stride": None,
    "avg": partial(avg_pool, window_shape=(2, 2), strides=(2, 2)),
    "blur": blur_pool,
}


class MobileNetV4(nn.Module):
    """Stem, stages of convolutions and inverted bottlenecks, a last 1x1 convolution.

    Attributes:
      stages: rows of each stage: kind (`conv`, `fused` for `FusedInvertedResidual`, or `uib` for
        `UniversalInvertedBottleneck`), kernel before the expansion (`uib` only), kernel, expansion
        (not of `conv`), channels, stride (1 or 2).
      stem_channels: channels of the stem; `width` scales them above 1 only.
      width: multiplies all other channels.
      downsampling: what halves a map after the stem: `stride` of a convolution, or after the
        convolution `avg` (mean of 2x2 pixels) or `blur` (`cnnlab.nn.pool.blur_pool`).
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      norm_epsilon: added to the variance.
      activation: activation after the convolutions, but those before the expansion and the last of
        each inverted bottleneck.
      stochastic_depth_rate: probability of dropping the last block's branch in training; rates
        rise linearly from the first block.
    """

    stages: Sequence[Sequence[_Row]]
    stem_channels: int = 32
    width: float = 1.0
    downsampling: Literal["stride", "avg", "blur"] = "stride"
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    activation: str = "relu"
    stochastic_depth_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @property
    def _stem_stride(self) -> int:
        return 2 if self.stem == "imagenet" else 1

    @property
    def strides(self) -> tuple[int, ...]:
        return level_strides(self._stem_stride, (row[-1] for rows in self.stages for row in rows))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the last map of each resolution and the last of all.

        The last but one comes from the last block, the last from the 1x1 convolution after it.
        """
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype, epsilon=self.norm_epsilon),
            activation=make_activation(self.activation),
            dtype=self.dtype,
        )
        channels = round_channels(self.stem_channels * max(1.0, self.width))
        x = conv(channels, 3, self._stem_stride, name="stem")(images)
        if self.downsampling != "stride":
            conv = partial(_pooled, conv, _POOLS[self.downsampling])
        maps, position, blocks = [], 0, sum(map(len, self.stages))
        for stage, rows in enumerate(self.stages, start=1):
            for number, row in enumerate(rows, start=1):
                if row[-1] > 1:
                    maps.append(x)
                dropout = stochastic_depth(
                    self.stochastic_depth_rate, block=position, blocks=blocks, train=train
                )
                x = self._block(row, x, conv, dropout, f"stage{stage}", number)
                position += 1
        last = round_channels(_LAST_CHANNELS * self.width)
        return (*maps, x, conv(last, 1, name="last_conv")(x))

    def _block(
        self,
        row: _Row,
        x: jax.Array,
        conv: Callable[..., Callable[[jax.Array], jax.Array]],
        dropout: Callable[[], nn.Module],
        stage: str,
        number: int,
    ) -> jax.Array:
        kind, start, kernel, expansion, channels, stride = row
        channels = round_channels(channels * self.width)
        expanded = round_channels(x.shape[-1] * expansion)
        if kind == "conv":
            return conv(channels, kernel, stride, name=f"{stage}_conv{number}")(x)
        if kind == "fused":
            return FusedInvertedResidual(
                channels,
                expanded,
                conv,
                kernel,
                stride,
                dropout=dropout,
                project_unexpanded=True,
                name=f"{stage}_fused{number}",
            )(x)
        return UniversalInvertedBottleneck(
            channels, expanded, conv, start, kernel, stride, dropout, name=f"{stage}_uib{number}"
        )(x)


def _pooled(
    conv: Callable[..., nn.Module],
    pool: Callable[[jax.Array], jax.Array],
    features: int,
    kernel: int,
    stride: int = 1,
    **options: object,
) -> Callable[[jax.Array], jax.Array]:
    """A convolution that does not stride; the pooling follows where it would."""
    layer = conv(features, kernel, **options)
    return layer if stride == 1 else lambda x: pool(layer(x))


class NormedDenseHead(nn.Module):
    """Global average pooling; a dense layer without biases, norm, activation; dropout; logits.

    Attributes:
      num_classes: width of the logits.
      hidden: width of the dense layer.
      norm: `batch`, `layer`, `group` or `none`.
      norm_epsilon: added to the variance.
      activation: activation after the norm.
      dropout_rate: share of the hidden layer's output that training sets to zero.
    """

    num_classes: int
    hidden: int
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    activation: str = "relu"
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype, epsilon=self.norm_epsilon)
        init = nn.initializers.normal(0.01)
        x = features[-1].mean(axis=(1, 2))
        x = nn.Dense(
            self.hidden,
            use_bias=self.norm == "none",
            kernel_init=init,
            dtype=self.dtype,
            name="dense1",
        )(x)
        x = make_activation(self.activation)(norm(name="norm")(x))
        x = Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=init, dtype=self.dtype, name="logits")(x)


VARIANTS = {
    "mobilenetv4_conv_small_035": {"stages": _SMALL, "width": 0.35},
    "mobilenetv4_conv_small_050": {"stages": _SMALL, "width": 0.5},
    "mobilenetv4_conv_small": {"stages": _SMALL},
    "mobilenetv4_conv_medium": {"stages": _MEDIUM},
    "mobilenetv4_conv_large": {"stages": _LARGE, "stem_channels": 24},
    "mobilenetv4_conv_aa_medium": {"stages": _MEDIUM, "downsampling": "avg"},
    "mobilenetv4_conv_aa_large": {"stages": _LARGE, "stem_channels": 24, "downsampling": "avg"},
    "mobilenetv4_conv_blur_medium": {"stages": _MEDIUM, "downsampling": "blur"},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stages: Sequence[Sequence[_Row]],
    stem_channels: int = 32,
    width: float = 1.0,
    hidden: int = _HIDDEN,
    downsampling: str = "stride",
    stem: str = "imagenet",
    norm: str = "batch",
    norm_epsilon: float = 1e-5,
    activation: str = "relu",
    dropout_rate: float = 0.2,
    stochastic_depth_rate: float = 0.0,
) -> Classifier:
    """Builds the network; `hidden` is the width of the dense layer before the logits."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if downsampling not in _POOLS:
        raise UserError(f"Unknown downsampling '{downsampling}': choose stride, avg or blur.")
    for row in (row for rows in stages for row in rows):
        _check(row)
    backbone = MobileNetV4(
        stages,
        stem_channels,
        width,
        downsampling,
        stem,
        norm,
        norm_epsilon,
        activation,
        stochastic_depth_rate,
        dtype,
    )
    head = NormedDenseHead(num_classes, hidden, norm, norm_epsilon, activation, dropout_rate, dtype)
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)


def _check(row: Sequence[str | int]) -> None:
    if len(row) != 6 or row[0] not in ("conv", "fused", "uib") or row[5] not in (1, 2):
        raise UserError(
            f"Row {tuple(row)} of stages must have a kind (conv, fused or uib), the kernel before "
            "the expansion, kernel, expansion, channels and stride (1 or 2)."
        )
    if row[0] == "uib" and row[5] == 2 and not (row[1] or row[2]):
        raise UserError(f"Row {tuple(row)} of stages has a stride and no kernel that could stride.")
