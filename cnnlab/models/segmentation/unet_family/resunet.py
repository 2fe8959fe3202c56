"""ResUNet (Zhang et al. 2018, "Road extraction by deep residual U-Net", arXiv:1711.10684).

Seven residual units with pre-activation, three down, a bridge, three up; a strided convolution, the
first of its unit, halves the size instead of pooling (fig. 2, table I).

By default this is the form of the PyTorch ports (rishikksh20, Awesome-U-Net): 3x3 convolutions in
the shortcuts and transposed convolutions for upsampling. The paper's form has `shortcut_kernel=1`
and `upsample="nearest"`.

Deviations: convolutions keep their biases, as in these ports; decoders resize the coarser map to
  the size of its skip, so any size works.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct, he_init
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.resize import resize_bilinear, resize_nearest


class NormActConv(nn.Module):
    """A norm, its activation and a 3x3 convolution: `ConvNormAct` in the order of pre-activation.

    Attributes:
      features: channels of the output.
      norm: builds a normalization layer.
      activation: elementwise function.
      stride: stride of the convolution.
    """

    features: int
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    stride: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        return Conv(
            self.features,
            (3, 3),
            self.stride,
            padding=1,
            kernel_init=he_init,
            dtype=self.dtype,
            name="conv",
        )(self.activation(self.norm(name="norm")(x)))


class ResidualUnit(nn.Module):
    """Two convolutions with pre-activation, and a convolution as shortcut (fig. 1b).

    Attributes:
      features: channels of the output.
      norm: builds a normalization layer.
      activation: elementwise function.
      stride: stride of the first convolution and of the shortcut.
      stem: the first unit: its first convolution has no norm and no activation before it.
      shortcut_kernel: height and width of the shortcut's kernel.
      shortcut_norm: whether a norm follows the shortcut's convolution.
    """

    features: int
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    stride: int = 1
    stem: bool = False
    shortcut_kernel: int = 1
    shortcut_norm: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""

        def conv(kernel: int, name: str, **options) -> nn.Module:
            return ConvNormAct(
                self.features,
                kernel,
                self.stride,
                activation=None,
                use_bias=True,
                dtype=self.dtype,
                name=name,
                **options,
            )

        def pre(stride: int, name: str) -> nn.Module:
            return NormActConv(
                self.features, self.norm, self.activation, stride, self.dtype, name=name
            )

        y = conv(3, "conv1")(x) if self.stem else pre(self.stride, "conv1")(x)
        y = pre(1, "conv2")(y)
        options = {"norm": self.norm} if self.shortcut_norm else {}
        return y + conv(self.shortcut_kernel, "shortcut", **options)(x)


class ResUNetEncoder(nn.Module):
    """Residual units, each after the first with a stride of 2.

    Attributes:
      widths: channels of each level, the bridge included.
      shortcut_kernel: height and width of the shortcuts' kernels.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation before each convolution.
    """

    widths: Sequence[int]
    shortcut_kernel: int = 3
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
            x = ResidualUnit(
                width,
                make_norm(self.norm, train=train, dtype=self.dtype),
                make_activation(self.activation),
                stride=1 if level == 1 else 2,
                stem=level == 1,
                shortcut_kernel=self.shortcut_kernel,
                shortcut_norm=level > 1,
                dtype=self.dtype,
                name=f"level{level}",
            )(x)
            maps.append(x)
        return tuple(maps)


class ResUNetDecoder(nn.Module):
    """Upsampling by 2, concatenation with the skip, a residual unit.

    Attributes:
      num_classes: channels of the logits.
      upsample: `transposed` (2x2, the width is kept) or `nearest`.
      shortcut_kernel: height and width of the shortcuts' kernels.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation before each convolution.
    """

    num_classes: int
    upsample: str = "transposed"
    shortcut_kernel: int = 3
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
            if self.upsample == "transposed":
                x = ConvTranspose(x.shape[-1], dtype=self.dtype, name=f"up{level}")(x)
                x = resize_bilinear(x, skip.shape[1:3])
            else:
                x = resize_nearest(x, skip.shape[1:3])
            x = ResidualUnit(
                skip.shape[-1],
                make_norm(self.norm, train=train, dtype=self.dtype),
                make_activation(self.activation),
                shortcut_kernel=self.shortcut_kernel,
                dtype=self.dtype,
                name=f"level{level}",
            )(jnp.concatenate([x, skip], axis=-1))
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


VARIANTS = {"resunet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 64,
    levels: int = 4,
    shortcut_kernel: int = 3,
    upsample: str = "transposed",
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `width` channels on the first level, twice as many on each later one."""
    if upsample not in ("transposed", "nearest"):
        raise UserError(f"Unknown upsample '{upsample}': choose transposed or nearest.")
    widths = [width * 2**level for level in range(levels)]
    return Segmenter(
        ResUNetEncoder(widths, shortcut_kernel, norm, activation, dtype),
        ResUNetDecoder(num_classes, upsample, shortcut_kernel, norm, activation, dtype),
    )
