"""GhostNet (Han et al. 2020, "More features from cheap operations", arXiv:1911.11907).

Table 1 of the paper in three widths (sec. 3.2), under timm's names. `ghostnetv2_*` are those of
GhostNetV2 (Tang et al. 2022, arXiv:2211.12905): from the third block on, a gate that sees whole
rows and columns scales the expanded map (sec. 4). Deviation: convolutions start from normal values
of variance 2 / fan-out.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import DenseHead
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.inverted_residual import level_strides, round_channels
from cnnlab.nn.pool import avg_pool
from cnnlab.nn.resize import resize_nearest
from cnnlab.nn.squeeze_excite import SqueezeExcite

_STEM_CHANNELS = 16
_DIVISOR = 4
_SQUEEZE_RATIO = 4
# Blocks before the first one with attention, in the published code.
_PLAIN_BLOCKS = 2

# Table 1: kernel, expanded channels, channels, squeeze-and-excitation, stride.
_BLOCKS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)


class GhostModule(nn.Module):
    """Half of the channels from a 1x1 convolution, the others from 3x3 ones of these (fig. 1b).

    Attributes:
      features: channels of the output, an even number.
      conv: builds a convolution with its norm and activation, as `cnnlab.nn.conv_norm_act`'s.
      activation: activation of both halves; None applies none.
      attention: whether a gate scales the output (decoupled fully connected attention,
        arXiv:2211.12905, sec. 4.1): of the input averaged over 2x2 pixels, a 1x1, a 1x5 and a 5x1
        convolution, then the sigmoid.
    """

    features: int
    conv: Callable[..., nn.Module]
    activation: Activation | None
    attention: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        half = self.features // 2
        conv = partial(self.conv, activation=self.activation)
        primary = conv(half, 1, name="primary")(x)
        cheap = conv(half, 3, groups=half, name="cheap")(primary)
        y = jnp.concatenate([primary, cheap], axis=-1)
        if not self.attention:
            return y
        line = partial(self.conv, self.features, groups=self.features, activation=None)
        gate = avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        gate = self.conv(self.features, 1, activation=None, name="gate")(gate)
        gate = line((5, 1), name="gate_column")(line((1, 5), name="gate_row")(gate))
        return y * resize_nearest(nn.sigmoid(gate), y.shape[1:3])


class GhostBottleneck(nn.Module):
    """Two Ghost modules, between them a depthwise convolution where it strides (fig. 3).

    The shortcut is the identity, or a depthwise and a 1x1 convolution where the shape changes.

    Attributes:
      features: channels of the output.
      expanded: channels between the modules.
      conv: builds a convolution with its norm and activation, as `cnnlab.nn.conv_norm_act`'s.
      activation: activation of the first module.
      kernel: height and width of the depthwise kernels.
      stride: stride of the depthwise convolutions.
      squeezed: width between the squeeze-and-excitation's layers; 0 omits it.
      attention: whether the first module has a gate.
    """

    features: int
    expanded: int
    conv: Callable[..., nn.Module]
    activation: Activation
    kernel: int = 3
    stride: int = 1
    squeezed: int = 0
    attention: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""

        def depthwise(x: jax.Array, name: str) -> jax.Array:
            channels = x.shape[-1]
            return conv(channels, self.kernel, self.stride, groups=channels, name=name)(x)

        conv = partial(self.conv, activation=None)
        y = GhostModule(self.expanded, self.conv, self.activation, self.attention, name="ghost1")(x)
        if self.stride > 1:
            y = depthwise(y, "depthwise")
        if self.squeezed:
            y = SqueezeExcite(
                self.squeezed, gate=nn.hard_sigmoid, dtype=self.dtype, name="squeeze_excite"
            )(y)
        y = GhostModule(self.features, self.conv, None, name="ghost2")(y)
        if self.stride > 1 or self.features != x.shape[-1]:
            x = depthwise(x, "shortcut_depthwise")
            x = conv(self.features, 1, name="shortcut_project")(x)
        return x + y


class GhostNet(nn.Module):
    """Stem, Ghost bottlenecks, a last 1x1 convolution.

    Attributes:
      blocks: rows of kernel, expanded channels, channels, whether there is squeeze-and-excitation,
        and stride.
      width: multiplies all channels, rounded to multiples of 4.
      attention: whether blocks are those of V2, from the third on.
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation of the stem, of the first module of each block and of the last
        convolution.
    """

    blocks: Sequence[tuple[int, int, int, bool, int]]
    width: float = 1.0
    attention: bool = False
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def _stem_stride(self) -> int:
        return 2 if self.stem == "imagenet" else 1

    @property
    def strides(self) -> tuple[int, ...]:
        return level_strides(self._stem_stride, (stride for *_, stride in self.blocks))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the last map of each resolution and the last of all.

        The last but one comes from the last block, the last from the 1x1 convolution after it.
        """
        activation = make_activation(self.activation)
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=activation,
            dtype=self.dtype,
        )
        scaled = partial(_scaled, width=self.width)
        x = conv(scaled(_STEM_CHANNELS), 3, self._stem_stride, name="stem")(images)
        maps = []
        for number, row in enumerate(self.blocks, start=1):
            kernel, expanded, channels, squeeze, stride = row
            if stride > 1:
                maps.append(x)
            expanded = scaled(expanded)
            x = GhostBottleneck(
                scaled(channels),
                expanded,
                conv,
                activation,
                kernel,
                stride,
                round_channels(expanded / _SQUEEZE_RATIO, _DIVISOR) if squeeze else 0,
                self.attention and number > _PLAIN_BLOCKS,
                self.dtype,
                name=f"block{number}",
            )(x)
        return (*maps, x, conv(expanded, 1, name="last_conv")(x))


def _scaled(channels: int, width: float) -> int:
    return round_channels(channels * width, _DIVISOR)


VARIANTS = {
    "ghostnet_050": {"width": 0.5},
    "ghostnet_100": {},
    "ghostnet_130": {"width": 1.3},
    "ghostnetv2_100": {"attention": True},
    "ghostnetv2_130": {"attention": True, "width": 1.3},
    "ghostnetv2_160": {"attention": True, "width": 1.6},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    blocks: Sequence[tuple[int, int, int, bool, int]] = _BLOCKS,
    width: float = 1.0,
    attention: bool = False,
    hidden: int = 1280,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.2,
) -> Classifier:
    """Builds the network; `hidden` is the width of the dense layer before the logits."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    backbone = GhostNet(blocks, width, attention, stem, norm, activation, dtype)
    head = DenseHead(
        num_classes,
        (hidden,),
        activation,
        dropout_rate,
        dtype,
        pool_size=1,
        kernel_init=nn.initializers.normal(0.01),
    )
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little; and the
    # gates of V2 average 2x2 pixels.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    elif attention:
        min_size += 1
    return Classifier(backbone, head, min_size, hint)
