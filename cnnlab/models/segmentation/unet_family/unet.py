"""U-Net (Ronneberger et al. 2015, "U-Net: convolutional networks for...", arXiv:1505.04597).

- `unet`: figure 1 with padded convolutions, so that logits have the size of the image.
- `unet_valid`: figure 1 to the letter, without padding: 572 pixels give the middle 388. The paper's
  seamless tiling wants even inputs of all poolings; of odd ones the last row or column is left out.
- `unet_bn`: with batch norm and convolutions without bias, the form in use today.
- `unet_bilinear`: the same with interpolation instead of transposed convolutions.

Deviations: decoders resize the coarser map to the size of its skip, so any size works; the
paper's dropout at the end of the contracting path is an option.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resize import resize_bilinear


class UNetEncoder(nn.Module):
    """The contracting path: pairs of convolutions, 2x2 max pooling between them.

    Attributes:
      widths: channels of each level, fine to coarse.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
      padding: pixels on each side; None keeps the size.
      dropout_rate: dropout rate after the last two levels, as the paper's text has it.
      use_bias: whether convolutions have biases; None adds them where no norm follows.
    """

    widths: Sequence[int]
    norm: str = "none"
    activation: str = "relu"
    padding: int | None = None
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    use_bias: bool | None = None

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2**level for level in range(len(self.widths)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the map of each level."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        maps, x = [], images
        for level, width in enumerate(self.widths, start=1):
            x = x if level == 1 else max_pool(x, (2, 2), (2, 2))
            x = DoubleConv(
                width,
                norm=norm,
                activation=make_activation(self.activation),
                padding=self.padding,
                use_bias=self.use_bias,
                dtype=self.dtype,
                name=f"level{level}",
            )(x)
            if level > len(self.widths) - 2:
                x = Dropout(self.dropout_rate, deterministic=not train)(x)
            maps.append(x)
        return tuple(maps)


class UNetDecoder(nn.Module):
    """The expanding path: twice the size, the skip beside it, a pair of convolutions.

    Attributes:
      num_classes: channels of the logits.
      widths: channels of the encoder's levels.
      upsample: `transposed` (2x2 convolution that halves the channels) or `bilinear`.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
      padding: pixels on each side; None keeps the size.
    """

    num_classes: int
    widths: Sequence[int]
    upsample: str = "transposed"
    norm: str = "none"
    activation: str = "relu"
    padding: int | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        *skips, x = features
        for level in range(len(skips), 0, -1):
            skip, width = skips[level - 1], self.widths[level - 1]
            mid_features, out = None, width
            if self.upsample == "transposed":
                x = ConvTranspose(width, dtype=self.dtype, name=f"up{level}")(x)
            else:
                # Nothing halves the channels on the way up, so the pair of convolutions does.
                mid_features = (x.shape[-1] + skip.shape[-1]) // 2
                out = self.widths[max(level - 2, 0)]
                size = (2 * x.shape[1], 2 * x.shape[2])
                x = resize_bilinear(x, size, align_corners=True)
            if self.padding is None:
                x = resize_bilinear(x, skip.shape[1:3])
            else:
                skip = center_crop(skip, x.shape[1:3])
            x = DoubleConv(
                out,
                mid_features,
                norm=norm,
                activation=make_activation(self.activation),
                padding=self.padding,
                dtype=self.dtype,
                name=f"level{level}",
            )(jnp.concatenate([skip, x], axis=-1))
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


def center_crop(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Crops maps [batch, height, width, channels] to their center; odd rests are cut at the end."""
    top, left = ((old - new) // 2 for old, new in zip(x.shape[1:3], size, strict=True))
    return x[:, top : top + size[0], left : left + size[1]]


VARIANTS = {
    "unet": {},
    "unet_valid": {"padding": "valid"},
    "unet_bn": {"norm": "batch"},
    "unet_bilinear": {"norm": "batch", "upsample": "bilinear"},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 64,
    levels: int = 5,
    padding: str = "same",
    upsample: str = "transposed",
    norm: str = "none",
    activation: str = "relu",
    dropout_rate: float = 0.0,
) -> Segmenter:
    """Builds the network; `width` channels on the first level, twice as many on each later one."""
    if padding not in ("same", "valid"):
        raise UserError(f"Unknown padding '{padding}': choose same or valid.")
    if upsample not in ("transposed", "bilinear"):
        raise UserError(f"Unknown upsample '{upsample}': choose transposed or bilinear.")
    widths = [width * 2**level for level in range(levels)]
    if upsample == "bilinear":
        # The lowest level does not double: its map enters the next as wide as the skip there.
        widths[-1] = widths[-2]
    pixels = 0 if padding == "valid" else None
    return Segmenter(
        UNetEncoder(widths, norm, activation, pixels, dropout_rate, dtype),
        UNetDecoder(num_classes, widths, upsample, norm, activation, pixels, dtype),
        min_size=_smallest(levels) if padding == "valid" else 2 ** (levels - 1),
        small_image_hint=", or a smaller model.options.levels",
        border=_border(levels) if padding == "valid" else 0,
    )


def _smallest(levels: int) -> int:
    """Smallest image for which the unpadded network has one position of logits."""
    extent = 1
    for _ in range(levels - 1):
        extent = -(-(extent + 4) // 2)  # before the expanding pair, before the transposed one
    for _ in range(levels - 1):
        extent = 2 * (extent + 4)
    return extent + 4


def _border(levels: int) -> int:
    """Pixels on each side that the convolutions of both paths remove."""
    return 2 * (2**levels - 1) + 2 * (2 ** (levels - 1) - 1)
