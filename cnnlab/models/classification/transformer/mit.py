"""MiT, the encoder of SegFormer (Xie et al. 2021, arXiv:2105.15203, sec. 3.1 and table 6).

Overlapping patches, attention to a map of reduced resolution, and a depthwise convolution in place
of position embeddings, which makes any size of images one network. As in the authors' code, each
stage ends with a layer norm, and for ImageNet a linear layer follows the average of the last map.
Deviations: maps that a reduction does not divide are padded below and to the right.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import ACTIVATIONS
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import he_init
from cnnlab.nn.stochastic_depth import drop_path

_init = nn.initializers.truncated_normal(0.02)
_EPSILON = 1e-6
# Of the norms after patches and reductions, in the authors' code.
_OTHER_EPSILON = 1e-5
_PATCH = 4
_MLP_RATIO = 4


class ReducedAttention(nn.Module):
    """Multi-head attention to squares of positions, each reduced to one (eq. 2).

    Attributes:
      heads: number of heads; must divide the channels.
      reduction: height and width of a square in positions; 1 attends to all positions.
    """

    heads: int
    reduction: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        batch, *_, channels = x.shape
        dense = partial(nn.Dense, kernel_init=_init, dtype=self.dtype)
        seen, size = x, self.reduction
        if size > 1:
            sides = [(0, -extent % size) for extent in x.shape[1:3]]
            seen = Conv(
                channels,
                (size, size),
                size,
                padding="VALID",
                kernel_init=he_init,
                dtype=self.dtype,
                name="reduce",
            )(jnp.pad(x, ((0, 0), *sides, (0, 0))))
            seen = nn.LayerNorm(_OTHER_EPSILON, dtype=self.dtype, name="reduce_norm")(seen)

        def split(y: jax.Array) -> jax.Array:
            return y.reshape(batch, -1, self.heads, channels // self.heads)

        query = split(dense(channels, name="query")(x))
        key, value = map(split, jnp.split(dense(2 * channels, name="key_value")(seen), 2, axis=-1))
        y = jax.nn.dot_product_attention(query, key, value)
        return dense(channels, name="out")(y.reshape(x.shape))


class MixFfn(nn.Module):
    """Dense, 3x3 depthwise convolution, GELU, dense (eq. 3)."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        dense = partial(nn.Dense, kernel_init=_init, dtype=self.dtype)
        hidden = _MLP_RATIO * x.shape[-1]
        y = Conv(
            hidden,
            (3, 3),
            padding=1,
            feature_group_count=hidden,
            kernel_init=he_init,
            dtype=self.dtype,
            name="depthwise",
        )(dense(hidden, name="expand")(x))
        return dense(x.shape[-1], name="project")(ACTIVATIONS["gelu"](y))


class MixTransformer(nn.Module):
    """Four stages of overlapping patches and blocks (fig. 2).

    Attributes:
      stage_sizes: blocks in each stage.
      widths: channels of each stage; each must be divisible by its heads.
      heads: number of attention heads in each stage.
      reductions: height and width of the squares to which each stage attends.
      stochastic_depth_rate: probability of dropping a branch of the last block in training; the
        rate rises linearly from 0 at the first block.
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int]
    heads: Sequence[int]
    reductions: Sequence[int]
    stochastic_depth_rate: float = 0.1
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(_PATCH * 2**stage for stage in range(len(self.stage_sizes)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the stages' maps, each normalised."""
        maps, x, before, last = [], images, 0, sum(self.stage_sizes) - 1
        for stage, size in enumerate(self.stage_sizes, start=1):
            kernel, stride = (7, _PATCH) if stage == 1 else (3, 2)
            x = Conv(
                self.widths[stage - 1],
                (kernel, kernel),
                stride,
                padding=kernel // 2,
                kernel_init=he_init,
                dtype=self.dtype,
                name=f"patches{stage}",
            )(x)
            x = nn.LayerNorm(_OTHER_EPSILON, dtype=self.dtype, name=f"patches{stage}_norm")(x)
            for number in range(1, size + 1):
                drop = drop_path(self.stochastic_depth_rate * before / max(1, last), train=train)
                attention = partial(
                    ReducedAttention, self.heads[stage - 1], self.reductions[stage - 1]
                )
                for layer, name in ((attention, "attention"), (MixFfn, "mlp")):
                    block = f"stage{stage}_block{number}_{name}"
                    y = nn.LayerNorm(_EPSILON, dtype=self.dtype, name=f"{block}_norm")(x)
                    x = x + drop()(layer(dtype=self.dtype, name=block)(y))
                before += 1
            x = nn.LayerNorm(_EPSILON, dtype=self.dtype, name=f"norm{stage}")(x)
            maps.append(x)
        return tuple(maps)


_WIDTHS = (64, 128, 320, 512)
_DEPTHS = {
    "b1": (2, 2, 2, 2),
    "b2": (3, 4, 6, 3),
    "b3": (3, 4, 18, 3),
    "b4": (3, 8, 27, 3),
    "b5": (3, 6, 40, 3),
}

VARIANTS = {
    "mit_b0": {"stage_sizes": (2, 2, 2, 2), "widths": (32, 64, 160, 256)},
    **{f"mit_{size}": {"stage_sizes": d, "widths": _WIDTHS} for size, d in _DEPTHS.items()},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    widths: Sequence[int],
    heads: Sequence[int] = (1, 2, 5, 8),
    reductions: Sequence[int] = (8, 4, 2, 1),
    stochastic_depth_rate: float = 0.1,
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network; `dropout_rate` is that of the pooled features."""
    rows = {"widths": widths, "heads": heads, "reductions": reductions}
    for name, row in rows.items():
        if len(row) != len(stage_sizes):
            raise UserError(
                f"{name}={tuple(row)} must have one number for each stage of "
                f"stage_sizes={tuple(stage_sizes)}."
            )
    if any(width % number for width, number in zip(widths, heads, strict=True)):
        raise UserError(
            f"heads={tuple(heads)} must divide the channels of each stage, widths={tuple(widths)}."
        )
    backbone = MixTransformer(stage_sizes, widths, heads, reductions, stochastic_depth_rate, dtype)
    # As of Swin: with one position in the last stage it would run, and learn little.
    head = LinearHead(num_classes, dropout_rate, dtype, kernel_init=_init)
    return Classifier(backbone, head, backbone.strides[-1] + 1)
