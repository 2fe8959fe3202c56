"""SA-UNet (Guo et al. 2020, "SA-UNet: spatial attention U-Net for retinal...", arXiv:2004.03696).

A small U-Net for vessels of the retina: DropBlock between each convolution and its batch norm, and
spatial attention between the two convolutions of the lowest level (fig. 2 and 4).

Deviations: none in structure. The transposed 3x3 convolutions give a row and a column more than
twice the size, which the authors' code cuts off; here the map is cut to the size of its skip, so
any size works.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import he_init
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.drop_block import DropBlock
from cnnlab.nn.pool import max_pool


class SpatialAttention(nn.Module):
    """Scales each position by a coefficient from the mean and the maximum over channels.

    Woo et al. 2018, arXiv:1807.06521, sec. 3.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        pooled = [x.mean(axis=-1, keepdims=True), x.max(axis=-1, keepdims=True)]
        conv = Conv(
            1,
            (7, 7),
            padding=3,
            use_bias=False,
            kernel_init=he_init,
            dtype=self.dtype,
            name="conv",
        )
        return x * nn.sigmoid(conv(jnp.concatenate(pooled, axis=-1)))


class DropBlockConvs(nn.Module):
    """Two 3x3 convolutions, each with DropBlock, norm and activation.

    Attributes:
      features: channels of the output.
      attention: spatial attention between the two.
      block_size: height and width in pixels of the blocks that DropBlock drops.
      drop_rate: approximate share of positions that DropBlock drops.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
    """

    features: int
    attention: bool = False
    block_size: int = 7
    drop_rate: float = 0.1
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        for number in (1, 2):
            x = Conv(
                self.features,
                (3, 3),
                padding=1,
                kernel_init=he_init,
                dtype=self.dtype,
                name=f"conv{number}",
            )(x)
            x = DropBlock(self.drop_rate, self.block_size, deterministic=not train)(x)
            x = activation(norm(name=f"norm{number}")(x))
            if self.attention and number == 1:
                x = SpatialAttention(self.dtype, name="attention")(x)
        return x


class SAUNetEncoder(nn.Module):
    """Pairs of convolutions with 2x2 max pooling between them; the lowest has spatial attention.

    Attributes:
      widths: channels of each level, fine to coarse.
      block_size: height and width in pixels of the blocks that DropBlock drops.
      drop_rate: approximate share of positions that DropBlock drops.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
    """

    widths: Sequence[int]
    block_size: int = 7
    drop_rate: float = 0.1
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
            x = x if level == 1 else max_pool(x, (2, 2), (2, 2))
            x = DropBlockConvs(
                width,
                level == len(self.widths),
                self.block_size,
                self.drop_rate,
                self.norm,
                self.activation,
                self.dtype,
                name=f"level{level}",
            )(x, train=train)
            maps.append(x)
        return tuple(maps)


class SAUNetDecoder(nn.Module):
    """A transposed 3x3 convolution, the skip beside it, a pair of convolutions.

    Attributes:
      num_classes: channels of the logits.
      block_size: height and width in pixels of the blocks that DropBlock drops.
      drop_rate: approximate share of positions that DropBlock drops.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
    """

    num_classes: int
    block_size: int = 7
    drop_rate: float = 0.1
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        *skips, x = features
        for level in range(len(skips), 0, -1):
            skip = skips[level - 1]
            _, height, width, channels = skip.shape
            x = ConvTranspose(channels, kernel=3, dtype=self.dtype, name=f"up{level}")(x)
            x = DropBlockConvs(
                channels,
                False,
                self.block_size,
                self.drop_rate,
                self.norm,
                self.activation,
                self.dtype,
                name=f"level{level}",
            )(jnp.concatenate([x[:, :height, :width], skip], axis=-1), train=train)
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


VARIANTS = {"sa_unet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 16,
    levels: int = 4,
    block_size: int = 7,
    drop_rate: float = 0.1,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `width` channels on the first level, twice as many on each later one."""
    widths = [width * 2**level for level in range(levels)]
    return Segmenter(
        SAUNetEncoder(widths, block_size, drop_rate, norm, activation, dtype),
        SAUNetDecoder(num_classes, block_size, drop_rate, norm, activation, dtype),
        min_size=2 ** (levels - 1),
        small_image_hint=", or a smaller model.options.levels",
    )
