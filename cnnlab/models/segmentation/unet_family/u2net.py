"""U^2-Net (Qin et al. 2020, "U2-Net: going deeper with nested U-structure...", arXiv:2005.09007).

A U-Net whose every stage is itself a small U-Net with a shortcut around it (fig. 5, table 1). Each
decoder stage, and the last encoder stage, gives a map of logits; a 1x1 convolution fuses them.

- `u2net`: 44,009,869 parameters with three channels and one class.
- `u2net_lite`: the paper's U2-Net with a dagger, `U2NETP` of the authors' code: 1,131,181.

In training, all side outputs go to the collection `aux_logits`: the paper always supervises them
(sec. 3.3), with a weight of 1 as the fused map has.

Deviations: logits for any number of classes instead of one saliency map; convolutions of the stages
have a bias under their batch norm, as in the authors' code.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool_ceil
from cnnlab.nn.resize import resize_bilinear

# Dilations of the stages that do not pool, RSU-4F (fig. 5, En_5); the last is the bottom.
_DILATIONS = (1, 2, 4, 8)


class ResidualUBlock(nn.Module):
    """RSU: a convolution, and around a U of convolutions its shortcut (fig. 2e).

    Attributes:
      features: channels of the output.
      mid_features: channels inside the U.
      height: layers of the U, L in the paper; None for RSU-4F, which dilates and never pools.
      conv: builds a 3x3 convolution with its norm and activation.
    """

    features: int
    mid_features: int
    height: int | None
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        pooled = self.height is not None
        dilations = (1,) * (self.height - 1) + (2,) if pooled else _DILATIONS
        *layers, bottom = enumerate(dilations, start=1)
        shortcut = x = self.conv(self.features, name="conv_in")(x)
        skips = []
        for number, dilation in layers:
            if pooled and skips:
                x = max_pool_ceil(x, 2, 2)
            x = self.conv(self.mid_features, dilation=dilation, name=f"down{number}")(x)
            skips.append(x)
        x = self.conv(self.mid_features, dilation=bottom[1], name="bottom")(x)
        for (number, dilation), skip in zip(layers[::-1], skips[::-1], strict=True):
            x = jnp.concatenate([resize_bilinear(x, skip.shape[1:3]), skip], axis=-1)
            features = self.mid_features if number > 1 else self.features
            x = self.conv(features, dilation=dilation, name=f"up{number}")(x)
        return x + shortcut


class U2NetEncoder(nn.Module):
    """Stages of nested U-Nets with pooling between them; the last two do not pool inside.

    Attributes:
      widths: output channels of each stage.
      mid_widths: channels within each stage.
      heights: number of layers of the U in all stages but the last two.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    widths: Sequence[int]
    mid_widths: Sequence[int]
    heights: Sequence[int]
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2**stage for stage in range(len(self.widths)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the map of each stage."""
        conv = _make_conv(self.norm, self.activation, train, self.dtype)
        maps, x = [], images
        stages = zip(self.widths, self.mid_widths, (*self.heights, None, None), strict=True)
        for stage, (width, mid_width, height) in enumerate(stages, start=1):
            x = x if stage == 1 else max_pool_ceil(x, 2, 2)
            x = ResidualUBlock(width, mid_width, height, conv, name=f"stage{stage}")(x)
            maps.append(x)
        return tuple(maps)


class U2NetDecoder(nn.Module):
    """Stages of nested U-Nets on the way up, side outputs, and the map that fuses them.

    Attributes:
      num_classes: channels of the logits.
      widths: output channels of each stage, fine to coarse; one fewer than the encoder's.
      mid_widths: channels within each stage.
      heights: number of layers of the U in all stages but the coarsest.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    widths: Sequence[int]
    mid_widths: Sequence[int]
    heights: Sequence[int]
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        conv = _make_conv(self.norm, self.activation, train, self.dtype)
        *skips, x = features
        maps = [x]
        stages = list(zip(skips, self.widths, self.mid_widths, (*self.heights, None), strict=True))
        for stage in range(len(stages), 0, -1):
            skip, width, mid_width, height = stages[stage - 1]
            x = jnp.concatenate([resize_bilinear(x, skip.shape[1:3]), skip], axis=-1)
            x = ResidualUBlock(width, mid_width, height, conv, name=f"stage{stage}")(x)
            maps.append(x)
        sides = []
        for number, x in enumerate(reversed(maps), start=1):
            x = Conv(self.num_classes, (3, 3), dtype=self.dtype, name=f"logits{number}")(x)
            sides.append(resize_bilinear(x, images.shape[1:3]))
            if train:
                self.sow("aux_logits", f"side{number}", sides[-1].astype(jnp.float32))
        fuse = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")
        return fuse(jnp.concatenate(sides, axis=-1))


def _make_conv(
    norm: str, activation: str, train: bool, dtype: jnp.dtype
) -> Callable[..., nn.Module]:
    return partial(
        ConvNormAct,
        norm=make_norm(norm, train=train, dtype=dtype),
        activation=make_activation(activation),
        use_bias=True,
        dtype=dtype,
    )


VARIANTS = {
    "u2net": {},
    "u2net_lite": {
        "widths": (64,) * 6,
        "mid_widths": (16,) * 6,
        "decoder_mid_widths": (16,) * 5,
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    widths: Sequence[int] = (64, 128, 256, 512, 512, 512),
    mid_widths: Sequence[int] = (32, 32, 64, 128, 256, 256),
    decoder_mid_widths: Sequence[int] = (16, 32, 64, 128, 256),
    heights: Sequence[int] = (7, 6, 5, 4),
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; a decoder stage gives as many channels as the encoder stage above it."""
    lengths = (len(widths), len(mid_widths), len(decoder_mid_widths) + 1, len(heights) + 2)
    if len(set(lengths)) > 1:
        raise UserError(
            f"widths, mid_widths, decoder_mid_widths and heights have lengths {len(widths)}, "
            f"{len(mid_widths)}, {len(decoder_mid_widths)} and {len(heights)}: n stages need n, n, "
            "n - 1 and n - 2."
        )
    if not heights or min(heights) < 2:
        raise UserError(f"heights={tuple(heights)} must hold numbers of layers, each 2 or more.")
    decoder_widths = (widths[0], *widths[:-2])
    return Segmenter(
        U2NetEncoder(widths, mid_widths, heights, norm, activation, dtype),
        U2NetDecoder(
            num_classes, decoder_widths, decoder_mid_widths, heights, norm, activation, dtype
        ),
        # Pooling that rounds up would run on one pixel; below this the last maps are all edge.
        min_size=2 ** (len(widths) - 1),
        small_image_hint=", or fewer model.options.heights and widths",
        aux_weight=1.0,
    )
