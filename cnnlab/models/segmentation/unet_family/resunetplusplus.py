"""ResUNet++ (Jha et al. 2019, "ResUNet++: an advanced architecture for...", arXiv:1911.07067).

ResUNet's residual units, with squeeze-and-excitation after each; atrous spatial pyramid pooling as
bridge and before the logits; in the decoder an attention block, which scales what comes from below
by a map computed from it and the skip (fig. 1, and the authors' code).

Deviations: none in structure; decoders resize the coarser map to the size of its skip, so any
size works.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.unet_family.resunet import NormActConv, ResidualUnit
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool_ceil
from cnnlab.nn.resize import resize_nearest
from cnnlab.nn.squeeze_excite import SqueezeExcite

# Dilations of the pyramid pooling's parallel convolutions.
_RATES = (1, 6, 12, 18)
# Width of a unit's map over the width inside its squeeze-and-excitation.
_REDUCTION = 8


class ExcitedUnit(nn.Module):
    """A residual unit and squeeze-and-excitation.

    Attributes:
      features: channels of the output.
      norm: builds a normalization layer.
      activation: activation before each convolution.
      stride: stride of the unit.
      stem: whether this is the first unit, without norm and activation before its first
        convolution.
    """

    features: int
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    stride: int = 1
    stem: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        x = ResidualUnit(
            self.features,
            self.norm,
            self.activation,
            self.stride,
            self.stem,
            dtype=self.dtype,
            name="unit",
        )(x)
        return SqueezeExcite(
            max(1, self.features // _REDUCTION),
            dtype=self.dtype,
            use_bias=False,
            name="squeeze_excite",
        )(x)


class SummedPyramid(nn.Module):
    """Atrous spatial pyramid pooling: parallel dilated convolutions, added, and a 1x1 convolution.

    Attributes:
      features: channels of the output.
      norm: builds a normalization layer, one after each dilated convolution.
    """

    features: int
    norm: Callable[..., nn.Module]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        x = sum(
            ConvNormAct(
                self.features,
                dilation=rate,
                norm=self.norm,
                activation=None,
                use_bias=True,
                dtype=self.dtype,
                name=f"rate{rate}",
            )(x)
            for rate in _RATES
        )
        return Conv(self.features, (1, 1), dtype=self.dtype, name="project")(x)


class AttentionBlock(nn.Module):
    """Scales what comes from below by a map that is computed from it and the skip.

    Attributes:
      norm: builds a normalization layer.
      activation: activation before each convolution.
    """

    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, skip: jax.Array) -> jax.Array:
        """Maps a map and a skip of twice its height and width to one of the map's shape."""

        def conv(name: str) -> nn.Module:
            return NormActConv(x.shape[-1], self.norm, self.activation, dtype=self.dtype, name=name)

        pooled = max_pool_ceil(conv("skip")(skip), 2, 2)
        return x * conv("scale")(pooled + conv("below")(x))


class ResUNetPlusPlusEncoder(nn.Module):
    """Units with squeeze-and-excitation, each after the first with a stride of 2.

    Attributes:
      widths: channels of each level.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation before each convolution.
    """

    widths: Sequence[int]
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2**level for level in range(len(self.widths)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the map of each level."""
        maps, x = [], images
        for level, width in enumerate(self.widths, start=1):
            x = ExcitedUnit(
                width,
                make_norm(self.norm, train=train, dtype=self.dtype),
                make_activation(self.activation),
                stride=1 if level == 1 else 2,
                stem=level == 1,
                dtype=self.dtype,
                name=f"level{level}",
            )(x)
            maps.append(x)
        return tuple(maps)


class ResUNetPlusPlusDecoder(nn.Module):
    """The bridge, levels of attention, upsampling, skip and unit, and a last pyramid.

    Attributes:
      num_classes: channels of the logits.
      widths: channels of the encoder's levels, and of the bridge.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation before each convolution.
    """

    num_classes: int
    widths: Sequence[int]
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        *skips, x = features
        x = SummedPyramid(self.widths[-1], norm, self.dtype, name="bridge")(x)
        for level in range(len(skips), 0, -1):
            skip = skips[level - 1]
            x = AttentionBlock(norm, activation, self.dtype, name=f"attention{level}")(x, skip)
            x = resize_nearest(x, skip.shape[1:3])
            # Each level is as wide as the encoder's next coarser one.
            x = ExcitedUnit(
                self.widths[level], norm, activation, dtype=self.dtype, name=f"level{level}"
            )(jnp.concatenate([x, skip], axis=-1))
        x = SummedPyramid(self.widths[0], norm, self.dtype, name="pyramid")(x)
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


VARIANTS = {"resunetplusplus": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 16,
    levels: int = 4,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `width` channels on the first level, twice as many on each later one."""
    widths = [width * 2**level for level in range(levels + 1)]
    return Segmenter(
        ResUNetPlusPlusEncoder(widths[:-1], norm, activation, dtype),
        ResUNetPlusPlusDecoder(num_classes, widths, norm, activation, dtype),
    )
