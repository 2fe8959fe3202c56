"""3D U-Net (Cicek et al. 2016, "3D U-Net: learning dense volumetric...", arXiv:1606.06650).

A U-Net of volumes [batch, depth, height, width, channels] with three poolings (fig. 2). Channels
double before each pooling, and transposed convolutions keep their number, so that nothing is
squeezed. Batch norm before each ReLU.

The 19,069,955 parameters that the paper states are kernels and one number for each channel of a
convolution: the form with `norm="none"`. Batch norms, with scale and offset, make it 19,072,291.

Deviations: convolutions are padded, so that logits have the size of the volume; decoders resize the
  coarser map to the size of its skip, so any size works.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resize import resize_bilinear


class UNet3DEncoder(nn.Module):
    """Pairs of 3x3x3 convolutions, the second with twice the channels, and 2x2x2 max pooling.

    Attributes:
      widths: channels of each level's map, fine to coarse.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
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
        """Maps [batch, depth, height, width, channels] to the map of each level."""
        maps, x = [], images
        for level, width in enumerate(self.widths, start=1):
            x = x if level == 1 else max_pool(x, (2, 2, 2), (2, 2, 2))
            x = DoubleConv(
                width,
                width // 2,
                norm=make_norm(self.norm, train=train, dtype=self.dtype),
                activation=make_activation(self.activation),
                dtype=self.dtype,
                name=f"level{level}",
            )(x)
            maps.append(x)
        return tuple(maps)


class UNet3DDecoder(nn.Module):
    """Upsampling by 2, concatenation with the skip, a pair of convolutions.

    Attributes:
      num_classes: channels of the logits.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, depth, height, width, num_classes]."""
        *skips, x = features
        for level in range(len(skips), 0, -1):
            skip = skips[level - 1]
            x = ConvTranspose(x.shape[-1], use_bias=False, dtype=self.dtype, name=f"up{level}")(x)
            x = resize_bilinear(x, skip.shape[1:-1])
            x = DoubleConv(
                skip.shape[-1],
                norm=make_norm(self.norm, train=train, dtype=self.dtype),
                activation=make_activation(self.activation),
                dtype=self.dtype,
                name=f"level{level}",
            )(jnp.concatenate([skip, x], axis=-1))
        return Conv(self.num_classes, (1, 1, 1), dtype=self.dtype, name="logits")(x)


VARIANTS = {"unet3d": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 32,
    levels: int = 4,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `width` channels after the first convolution."""
    widths = [2 * width * 2**level for level in range(levels)]
    return Segmenter(
        UNet3DEncoder(widths, norm, activation, dtype),
        UNet3DDecoder(num_classes, norm, activation, dtype),
        min_size=2 ** (levels - 1),
        small_image_hint=", or a smaller model.options.levels",
        spatial_dims=3,
    )
