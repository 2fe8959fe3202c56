"""MaxViT (Tu et al. 2022, "MaxViT: multi-axis vision transformer", arXiv:2204.01697).

Blocks of an inverted residual, attention in windows, and attention over a grid that spans the map
(fig. 2). Table 1 gives the sizes of `maxvit_t`, as in torchvision. Deviations, which are
torchvision's: products of queries and keys are divided by the root of all channels, not of one
head's; batch norm has a momentum of 0.99. Ours: maps that windows do not divide are padded below
and to the right, and positions attend to the padding, where torchvision refuses such images.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.nn.attention.swin_block import SwinBlock
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import avg_pool
from cnnlab.nn.squeeze_excite import SqueezeExcite
from cnnlab.nn.stochastic_depth import drop_path

_init = nn.initializers.normal(0.02)
_EXPANSION = 4


class PreNormInvertedResidual(nn.Module):
    """Norm, 1x1 expansion, depthwise convolution, squeeze-and-excitation, 1x1 projection.

    Tu et al. 2022, arXiv:2204.01697, sec. 3.2. The shortcut averages and projects where the block
    strides.

    Attributes:
      features: channels of the output; the convolutions between have four times as many.
      stride: stride of the depthwise convolution.
      norm: builds a normalization layer.
      activation: activation after each norm but the first.
      drop_path: builds stochastic depth for the branch.
    """

    features: int
    stride: int
    norm: Callable[..., nn.Module]
    activation: Activation
    drop_path: Callable[[], nn.Module]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        conv = partial(ConvNormAct, norm=self.norm, activation=self.activation, dtype=self.dtype)
        pointwise = partial(Conv, self.features, (1, 1), kernel_init=_init, dtype=self.dtype)
        expanded = _EXPANSION * self.features
        y = conv(expanded, 1, name="expand")(self.norm(name="norm")(x))
        y = conv(expanded, 3, self.stride, groups=expanded, name="depthwise")(y)
        squeezed = max(1, self.features // 4)
        y = SqueezeExcite(
            squeezed, make_activation("silu"), dtype=self.dtype, name="squeeze_excite"
        )(y)
        y = pointwise(name="project")(y)
        if self.stride > 1:
            x = avg_pool(x, (3, 3), (self.stride, self.stride), ((1, 1), (1, 1)))
        if self.stride > 1 or x.shape[-1] != self.features:
            x = pointwise(name="shortcut")(x)
        return x + self.drop_path()(y)


class MaxViTBlock(nn.Module):
    """Inverted residual, window attention, grid attention (fig. 2).

    Attributes:
      features: channels of the output.
      stride: stride of the inverted residual.
      heads: number of heads of each attention.
      window: height and width of a window, and of the grid, in positions.
      mlp_ratio: width between the dense layers, in multiples of the channels.
      norm: builds a normalization layer of the inverted residual.
      activation: activation of the inverted residual.
      drop_path: builds stochastic depth for a branch.
    """

    features: int
    stride: int
    heads: int
    window: int
    mlp_ratio: int
    norm: Callable[..., nn.Module]
    activation: Activation
    drop_path: Callable[[], nn.Module]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        x = PreNormInvertedResidual(
            self.features,
            self.stride,
            self.norm,
            self.activation,
            self.drop_path,
            self.dtype,
            name="conv",
        )(x)
        attend = partial(
            SwinBlock,
            self.heads,
            self.window,
            0,
            self.mlp_ratio,
            self.drop_path,
            scale=self.features**-0.5,
            dtype=self.dtype,
        )
        height, width = x.shape[1:3]
        sides = [(0, -extent % self.window) for extent in (height, width)]
        x = attend(name="window")(jnp.pad(x, ((0, 0), *sides, (0, 0))))
        x = _from_grid(attend(name="grid")(_to_grid(x, self.window)), self.window)
        return x[:, :height, :width]


def _to_grid(x: jax.Array, size: int) -> jax.Array:
    """Reorders a map so that its windows are the grids of `size` positions that span it."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, size, height // size, size, width // size, channels)
    return x.transpose(0, 2, 1, 4, 3, 5).reshape(batch, height, width, channels)


def _from_grid(x: jax.Array, size: int) -> jax.Array:
    """Inverse of `_to_grid`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // size, size, width // size, size, channels)
    return x.transpose(0, 2, 1, 4, 3, 5).reshape(batch, height, width, channels)


class MaxViT(nn.Module):
    """A stem of two convolutions, and stages of `MaxViTBlock` that each halve the map.

    Attributes:
      stage_sizes: blocks in each stage.
      widths: channels of each stage.
      stem_width: channels of the stem.
      head_width: channels of an attention's head.
      window: height and width of a window, and of the grid, in positions.
      mlp_ratio: width between a block's dense layers, in multiples of its channels.
      stochastic_depth_rate: probability of dropping a branch of the last block in training; the
        rate rises linearly from 0 at the first block.
      norm: `batch`, `layer`, `group` or `none`; of the convolutions.
      activation: activation of the convolutions.
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int]
    stem_width: int = 64
    head_width: int = 32
    window: int = 7
    mlp_ratio: int = 4
    stochastic_depth_rate: float = 0.2
    norm: str = "batch"
    activation: str = "gelu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2 ** (level + 1) for level in range(len(self.stage_sizes) + 1))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the stem's and the stages' maps."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype, epsilon=1e-3, momentum=0.99)
        activation = make_activation(self.activation)
        x = ConvNormAct(
            self.stem_width,
            stride=2,
            norm=norm,
            activation=activation,
            dtype=self.dtype,
            name="stem1",
        )(images)
        x = ConvNormAct(self.stem_width, activation=None, dtype=self.dtype, name="stem2")(x)
        maps, before, last = [x], 0, sum(self.stage_sizes) - 1
        for stage, (size, width) in enumerate(
            zip(self.stage_sizes, self.widths, strict=True), start=1
        ):
            for number in range(1, size + 1):
                x = MaxViTBlock(
                    width,
                    2 if number == 1 else 1,
                    width // self.head_width,
                    self.window,
                    self.mlp_ratio,
                    norm,
                    activation,
                    drop_path(self.stochastic_depth_rate * before / max(1, last), train=train),
                    self.dtype,
                    name=f"stage{stage}_block{number}",
                )(x)
                before += 1
            maps.append(x)
        return tuple(maps)


class MaxViTHead(nn.Module):
    """Global average pooling, layer norm, a dense layer with tanh, logits without a bias.

    Attributes:
      num_classes: width of the logits.
    """

    num_classes: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        dense = partial(nn.Dense, kernel_init=_init, dtype=self.dtype)
        x = features[-1].mean(axis=(1, 2))
        x = nn.LayerNorm(1e-5, dtype=self.dtype, name="norm")(x)
        x = nn.tanh(dense(x.shape[-1], name="dense1")(x))
        return dense(self.num_classes, use_bias=False, name="logits")(x)


VARIANTS = {"maxvit_t": {"stage_sizes": (2, 2, 5, 2), "widths": (64, 128, 256, 512)}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    widths: Sequence[int],
    stem_width: int = 64,
    head_width: int = 32,
    window: int = 7,
    mlp_ratio: int = 4,
    stochastic_depth_rate: float = 0.2,
    norm: str = "batch",
    activation: str = "gelu",
) -> Classifier:
    """Builds the network."""
    if len(stage_sizes) != len(widths):
        raise UserError(
            f"stage_sizes {tuple(stage_sizes)} and widths {tuple(widths)} differ in length: give "
            "one width for each stage."
        )
    if any(width % head_width for width in widths):
        raise UserError(
            f"head_width={head_width} must divide the channels of each stage, {tuple(widths)}."
        )
    backbone = MaxViT(
        stage_sizes,
        widths,
        stem_width,
        head_width,
        window,
        mlp_ratio,
        stochastic_depth_rate,
        norm,
        activation,
        dtype,
    )
    # As of Swin: with one position in the last stage it would run, and learn little.
    return Classifier(backbone, MaxViTHead(num_classes, dtype), backbone.strides[-1] + 1)
