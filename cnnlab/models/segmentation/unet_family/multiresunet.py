"""MultiResUNet (Ibtehaz & Rahman 2020, "MultiResUNet: rethinking the U-Net...", arXiv:1902.04049).

MultiRes blocks instead of the pairs of convolutions: three 3x3 convolutions in a row, whose
results are joined, with a 1x1 shortcut (fig. 3c); skips that pass a path of residual convolutions,
the longer the finer their level (fig. 4). Widths follow alpha * U for the width U of a U-Net with
as many parameters (sec. 4).

Details are those of the authors' Keras code: most batch norms have no scale, and one follows the
last 1x1 convolution too. Deviations: decoders resize the coarser map to the size of its skip,
so any size works; where another norm is chosen, the last convolution has a bias in its place.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resize import resize_bilinear

# Shares of alpha * U of the three convolutions of a block.
_SHARES = (0.167, 0.333, 0.5)


class MultiResBlock(nn.Module):
    """Three convolutions in a row, joined, and a 1x1 shortcut.

    Attributes:
      widths: channels of the three convolutions.
      conv: builds a convolution with its norm and activation, as `ConvNormAct`.
      norm: builds the norms of the join and of the sum.
      activation: activation after each sum.
    """

    widths: Sequence[int]
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, sum of widths]."""
        shortcut = self.conv(sum(self.widths), 1, activation=None, name="shortcut")(x)
        parts = []
        for number, width in enumerate(self.widths, start=1):
            x = self.conv(width, name=f"conv{number}")(x)
            parts.append(x)
        x = self.norm(name="join_norm")(jnp.concatenate(parts, axis=-1))
        return self.norm(name="norm")(self.activation(x + shortcut))


class ResPath(nn.Module):
    """Residual convolutions between an encoder's map and the decoder.

    Attributes:
      features: channels of the output.
      length: number of convolutions.
      conv: builds a convolution with its norm and activation, as `ConvNormAct`.
      norm: builds the norms of the sums.
      activation: activation after each sum.
    """

    features: int
    length: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        for number in range(1, self.length + 1):
            shortcut = self.conv(self.features, 1, activation=None, name=f"shortcut{number}")(x)
            x = self.conv(self.features, name=f"conv{number}")(x) + shortcut
            x = self.norm(name=f"norm{number}")(self.activation(x))
        return x


class MultiResEncoder(nn.Module):
    """MultiRes blocks with 2x2 max pooling between them.

    Attributes:
      widths: U of each level, fine to coarse.
      alpha: width of a block over U.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    widths: Sequence[int]
    alpha: float = 1.67
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2**level for level in range(len(self.widths)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the map of each level."""
        parts = _parts(self.norm, self.activation, train, self.dtype)
        maps, x = [], images
        for level, width in enumerate(self.widths, start=1):
            x = x if level == 1 else max_pool(x, (2, 2), (2, 2))
            x = MultiResBlock(_split(width, self.alpha), **parts, name=f"level{level}")(x)
            maps.append(x)
        return tuple(maps)


class MultiResDecoder(nn.Module):
    """Twice the size, the skip by its path beside it, a MultiRes block.

    Attributes:
      num_classes: channels of the logits.
      widths: U of each level.
      alpha: width of a block over U.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    widths: Sequence[int]
    alpha: float = 1.67
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        parts = _parts(self.norm, self.activation, train, self.dtype)
        *skips, x = features
        for level in range(len(skips), 0, -1):
            skip, width = skips[level - 1], self.widths[level - 1]
            x = ConvTranspose(width, dtype=self.dtype, name=f"up{level}")(x)
            x = resize_bilinear(x, skip.shape[1:3])
            length = len(skips) + 1 - level
            skip = ResPath(width, length, **parts, name=f"path{level}")(skip)
            x = MultiResBlock(_split(width, self.alpha), **parts, name=f"level{level}")(
                jnp.concatenate([x, skip], axis=-1)
            )
        if self.norm != "batch":
            return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)
        logits = parts["conv"](self.num_classes, 1, activation=None, name="logits")
        return logits(x)


def _split(width: int, alpha: float) -> tuple[int, ...]:
    """Channels of the three convolutions of a block."""
    return tuple(int(alpha * width * share) for share in _SHARES)


def _parts(norm: str, activation: str, train: bool, dtype: jnp.dtype) -> dict[str, Callable]:
    """What blocks and paths are built of."""
    make = make_norm(norm, train=train, dtype=dtype)
    unscaled = partial(make, use_scale=False) if norm in ("batch", "layer") else make
    function = make_activation(activation)
    return {
        "conv": partial(ConvNormAct, norm=unscaled, activation=function, dtype=dtype),
        "norm": make,
        "activation": function,
    }


VARIANTS = {"multiresunet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 32,
    levels: int = 5,
    alpha: float = 1.67,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; U is `width` on the first level, and doubles on each later one."""
    if min(_split(width, alpha)) < 1:
        raise UserError(
            f"model.options.width={width} with alpha={alpha} leaves a convolution without "
            "channels: choose a larger width."
        )
    widths = [width * 2**level for level in range(levels)]
    return Segmenter(
        MultiResEncoder(widths, alpha, norm, activation, dtype),
        MultiResDecoder(num_classes, widths, alpha, norm, activation, dtype),
        min_size=2 ** (levels - 1),
        small_image_hint=", or a smaller model.options.levels",
    )
