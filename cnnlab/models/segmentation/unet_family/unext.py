"""UNeXt (Valanarasu & Patel 2022, "UNeXt: MLP-based rapid medical image...", arXiv:2203.04967).

Three stages of convolutions, two of tokens that a shifted MLP mixes, and the same on the way up,
where skips are added and not concatenated (fig. 1).

- `unext`: widths 16, 32, 128, 160, 256; 1,471,921 parameters with three channels and one class.
- `unext_s`: widths 8, 16, 32, 64, 128; 253,561.

Where paper and authors' code differ, this follows the code: channels move along the height before
the first dense layer and along the width before the second, a depthwise convolution stands between
them alone, and what comes from below is interpolated before its activation. The code upsamples the
last map without a norm.

Deviations: none.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import ACTIVATIONS, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct, he_init
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resize import resize_bilinear

_dense_init = nn.initializers.truncated_normal(0.02)
_EPSILON = 1e-5
# Groups of channels that move by -2, -1, 0, 1 and 2 positions (the authors' `shift_size`).
_GROUPS = 5


def shift_groups(x: jax.Array, axis: int) -> jax.Array:
    """Moves five groups of channels by -2 to 2 positions; zeros come in at the edge.

    Groups are of equal size, rounded up, so that the last may be smaller, as in the authors' code.

    Args:
      x: [batch, height, width, channels].
      axis: 1 moves along the height, 2 along the width.
    """
    size = -(-x.shape[-1] // _GROUPS)
    extent, reach = x.shape[axis], _GROUPS // 2
    sides = [(reach, reach) if a == axis else (0, 0) for a in range(x.ndim)]
    padded = jnp.pad(x, sides)
    moved = [
        jax.lax.slice_in_dim(
            padded[..., i * size : (i + 1) * size], start, start + extent, axis=axis
        )
        for i, start in enumerate(range(2 * reach, -1, -1))
    ]
    return jnp.concatenate(moved, axis=-1)


class ShiftedMlpBlock(nn.Module):
    """Norm and shifted MLP, added to its input: shift, dense, depthwise 3x3, shift, dense."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        channels = x.shape[-1]

        def dense(name: str) -> nn.Module:
            return nn.Dense(channels, kernel_init=_dense_init, dtype=self.dtype, name=name)

        y = nn.LayerNorm(epsilon=_EPSILON, dtype=self.dtype, name="norm")(x)
        y = dense("dense1")(shift_groups(y, 1))
        y = Conv(
            channels,
            (3, 3),
            padding=1,
            feature_group_count=channels,
            kernel_init=he_init,
            dtype=self.dtype,
            name="depthwise",
        )(y)
        y = ACTIVATIONS["gelu"](y)
        return x + dense("dense2")(shift_groups(y, 2))


class UNeXtEncoder(nn.Module):
    """Convolutions with pooling, then overlapping patches with a shifted MLP.

    Attributes:
      widths: channels of the three convolutional and the two tokenized stages.
      norm: norm of the convolutions: `batch`, `layer`, `group` or `none`.
      activation: activation of the convolutions.
    """

    widths: Sequence[int]
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (2, 4, 8, 16, 32)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to five maps, one for each of `strides`."""
        maps, x = [], images
        for stage, width in enumerate(self.widths, start=1):
            if stage <= 3:
                x = ConvNormAct(
                    width,
                    norm=make_norm(self.norm, train=train, dtype=self.dtype),
                    activation=make_activation(self.activation),
                    use_bias=True,
                    dtype=self.dtype,
                    name=f"stage{stage}",
                )(x)
                x = max_pool(x, (2, 2), (2, 2))
            else:
                x = Conv(
                    width,
                    (3, 3),
                    2,
                    padding=1,
                    kernel_init=he_init,
                    dtype=self.dtype,
                    name=f"stage{stage}_embed",
                )(x)
                x = self._norm(f"stage{stage}_embed_norm")(x)
                x = ShiftedMlpBlock(self.dtype, name=f"stage{stage}_block")(x)
                x = self._norm(f"stage{stage}_norm")(x)
            maps.append(x)
        return tuple(maps)

    def _norm(self, name: str) -> nn.Module:
        return nn.LayerNorm(epsilon=_EPSILON, dtype=self.dtype, name=name)


class UNeXtDecoder(nn.Module):
    """Convolution, interpolation, the skip added; on the coarse levels a shifted MLP as well.

    Attributes:
      num_classes: channels of the logits.
      norm: norm of the convolutions: `batch`, `layer`, `group` or `none`.
      activation: activation of the convolutions.
    """

    num_classes: int
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        activation = make_activation(self.activation)
        *skips, x = features
        for level in range(len(skips), 0, -1):
            skip = skips[level - 1]
            x = ConvNormAct(
                skip.shape[-1],
                norm=make_norm(self.norm, train=train, dtype=self.dtype),
                activation=None,
                use_bias=True,
                dtype=self.dtype,
                name=f"level{level}",
            )(x)
            x = activation(resize_bilinear(x, skip.shape[1:3])) + skip
            if level >= 3:
                x = ShiftedMlpBlock(self.dtype, name=f"level{level}_block")(x)
                x = nn.LayerNorm(epsilon=_EPSILON, dtype=self.dtype, name=f"level{level}_norm")(x)
        x = Conv(x.shape[-1], (3, 3), kernel_init=he_init, dtype=self.dtype, name="last")(x)
        x = activation(resize_bilinear(x, images.shape[1:3]))
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


VARIANTS = {"unext": {}, "unext_s": {"widths": (8, 16, 32, 64, 128)}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    widths: Sequence[int] = (16, 32, 128, 160, 256),
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network."""
    if len(widths) != 5:
        raise UserError(
            f"widths={tuple(widths)} must have five numbers: three stages of convolutions, two of "
            "tokens."
        )
    return Segmenter(
        UNeXtEncoder(widths, norm, activation, dtype),
        UNeXtDecoder(num_classes, norm, activation, dtype),
        # Three poolings round down, the strides of the patches up.
        min_size=8,
    )
