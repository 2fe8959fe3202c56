"""MISSFormer (Huang et al. 2021, "MISSFormer: an effective medical...", arXiv:2109.07162).

Transformer blocks with a convolution in their feed-forward network, on four levels down and up; the
skips pass together through a context bridge, an attention over the tokens of all levels (fig. 1).

`missformer` has 35,452,745 parameters with three channels and nine classes. The authors' code has
42,462,537, of which 7,009,792 take part in no computation: two spare layer norms of each
feed-forward network, and two blocks and a dense layer of the coarsest decoder stage, which only
expands. They are left out here.

Any size works: overlapping patches round up, attentions pad maps that their reduction does not
divide, and upsampled maps are cropped below and to the right, where rounding up has made them
longer than the skip.

Deviations: images with one channel are not repeated to three: the first kernel has one input.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.attention.patch_expand import PatchExpand
from cnnlab.nn.choices import ACTIVATIONS
from cnnlab.nn.conv import Conv

_init = nn.initializers.xavier_uniform()
_EPSILON = 1e-5
# Pixels of the image on each side of a position of the finest level.
_PATCH = 4


class EnhancedMixFfn(nn.Module):
    """Dense, depthwise convolution with a shortcut, norm, GELU, dense: Enhanced Mix-FFN.

    The layer between is four times as wide.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        hidden = 4 * x.shape[-1]
        y = nn.Dense(hidden, kernel_init=_init, dtype=self.dtype, name="expand")(x)
        depthwise = Conv(
            hidden,
            (3, 3),
            padding=1,
            feature_group_count=hidden,
            dtype=self.dtype,
            name="depthwise",
        )
        y = ACTIVATIONS["gelu"](_norm(self.dtype, "norm")(depthwise(y) + y))
        return nn.Dense(x.shape[-1], kernel_init=_init, dtype=self.dtype, name="project")(y)


class ReducedAttention(nn.Module):
    """Attention of all positions to squares of positions (Xie et al. 2021, arXiv:2105.15203).

    Attributes:
      heads: number of heads; must divide the channels.
      reduction: height and width of a square; 1 attends to every position.
    """

    heads: int
    reduction: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        seen = x
        if self.reduction > 1:
            seen = _squares(x, self.reduction, self.dtype, "reduce")
            seen = _norm(self.dtype, "norm")(seen)
        tokens, keys = (y.reshape(y.shape[0], -1, y.shape[-1]) for y in (x, seen))
        return _attention(self.heads, self.dtype)(tokens, keys).reshape(x.shape)


class EnhancedBlock(nn.Module):
    """Norm and attention, norm and feed-forward network, each added to its input.

    Attributes:
      heads: number of attention heads.
      reduction: height and width of the squares whose positions are attended to.
    """

    heads: int
    reduction: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        attention = ReducedAttention(self.heads, self.reduction, self.dtype, name="attention")
        x = x + attention(_norm(self.dtype, "attention_norm")(x))
        return x + EnhancedMixFfn(self.dtype, name="ffn")(_norm(self.dtype, "ffn_norm")(x))


class BridgeLayer(nn.Module):
    """Attention among the tokens of all levels, then a feed-forward network for each level.

    All tokens are as wide as the finest level; a position of a level with m times as many channels
    is m tokens. Keys and values come from squares of positions, so that each level gives as many.

    Attributes:
      width: channels of a token.
    """

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, levels: Sequence[jax.Array]) -> list[jax.Array]:
        """Maps each level's [batch, height, width, c] to the same shape."""
        shapes = [x.shape for x in levels]
        tokens = join_tokens(levels, self.width)
        normed = _norm(self.dtype, "attention_norm")(tokens)
        *finer, coarsest = split_tokens(normed, shapes)
        seen = []
        for number, x in enumerate(finer, start=1):
            seen.append(_squares(x, 2 ** (len(levels) - number), self.dtype, f"reduce{number}"))
        seen = _norm(self.dtype, "norm")(join_tokens([*seen, coarsest], self.width))
        tokens = tokens + _attention(1, self.dtype)(normed, seen)
        normed = split_tokens(_norm(self.dtype, "ffn_norm")(tokens), shapes)
        return [
            x + EnhancedMixFfn(self.dtype, name=f"ffn{number}")(y)
            for number, (x, y) in enumerate(
                zip(split_tokens(tokens, shapes), normed, strict=True), start=1
            )
        ]


def join_tokens(levels: Sequence[jax.Array], width: int) -> jax.Array:
    """Maps [batch, height, width, m * width] of levels to their tokens [batch, tokens, width]."""
    return jnp.concatenate([x.reshape(x.shape[0], -1, width) for x in levels], axis=1)


def split_tokens(tokens: jax.Array, shapes: Sequence[tuple[int, ...]]) -> list[jax.Array]:
    """Inverse of `join_tokens`; `shapes` are those of the levels' maps."""
    levels, start = [], 0
    for shape in shapes:
        count = shape[1] * shape[2] * shape[3] // tokens.shape[-1]
        levels.append(tokens[:, start : start + count].reshape(shape))
        start += count
    return levels


class MixEncoder(nn.Module):
    """Overlapping patches and enhanced blocks on each level (MiT of SegFormer, enhanced).

    Attributes:
      widths: channels of each level, fine to coarse.
      depths: blocks of each level.
      heads: number of attention heads in each level.
    """

    widths: Sequence[int]
    depths: Sequence[int]
    heads: Sequence[int]
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(_PATCH * 2**level for level in range(len(self.widths)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the map of each level."""
        del train  # nothing differs in training
        maps, x = [], images
        for level, width in enumerate(self.widths, start=1):
            kernel, stride = (7, _PATCH) if level == 1 else (3, 2)
            x = Conv(
                width,
                (kernel, kernel),
                stride,
                padding=kernel // 2,
                dtype=self.dtype,
                name=f"embed{level}",
            )(x)
            x = _norm(self.dtype, f"embed{level}_norm")(x)
            x = _blocks(x, level, self.depths, self.heads, self.dtype)
            x = _norm(self.dtype, f"level{level}_norm")(x)
            maps.append(x)
        return tuple(maps)


class MixDecoder(nn.Module):
    """The context bridge; then patch expanding, the skip beside it, a dense layer, blocks.

    Attributes:
      num_classes: channels of the logits.
      widths: channels of each level, fine to coarse.
      depths: blocks of each level but the coarsest.
      heads: number of attention heads in each level.
      bridge_depth: layers of the bridge.
    """

    num_classes: int
    widths: Sequence[int]
    depths: Sequence[int]
    heads: Sequence[int]
    bridge_depth: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        del train  # nothing differs in training
        levels = list(features)
        for number in range(1, self.bridge_depth + 1):
            levels = BridgeLayer(self.widths[0], self.dtype, name=f"bridge{number}")(levels)
        *skips, x = levels
        for level in range(len(skips), 0, -1):
            skip, width = skips[level - 1], self.widths[level - 1]
            x = PatchExpand(x.shape[-1] // 2, dtype=self.dtype, name=f"expand{level}")(x)
            x = jnp.concatenate([x[:, : skip.shape[1], : skip.shape[2]], skip], axis=-1)
            x = nn.Dense(width, kernel_init=_init, dtype=self.dtype, name=f"fuse{level}")(x)
            x = _blocks(x, level, self.depths, self.heads, self.dtype)
        x = PatchExpand(self.widths[0], _PATCH, dtype=self.dtype, name="expand_last")(x)
        x = x[:, : images.shape[1], : images.shape[2]]
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


def _blocks(
    x: jax.Array, level: int, depths: Sequence[int], heads: Sequence[int], dtype: jnp.dtype
) -> jax.Array:
    """The blocks of a level, counted from 1; the coarsest attends to every position."""
    for number in range(1, depths[level - 1] + 1):
        x = EnhancedBlock(
            heads[level - 1],
            2 ** (len(depths) - level),
            dtype,
            name=f"level{level}_block{number}",
        )(x)
    return x


def _squares(x: jax.Array, size: int, dtype: jnp.dtype, name: str) -> jax.Array:
    """A convolution of squares that do not overlap; the map is padded to whole ones."""
    sides = [(0, -extent % size) for extent in x.shape[1:3]]
    x = jnp.pad(x, ((0, 0), *sides, (0, 0)))
    conv = Conv(x.shape[-1], (size, size), size, padding="VALID", dtype=dtype, name=name)
    return conv(x)


def _attention(heads: int, dtype: jnp.dtype) -> nn.Module:
    return nn.MultiHeadDotProductAttention(
        heads, kernel_init=_init, force_fp32_for_softmax=True, dtype=dtype, name="attention"
    )


def _norm(dtype: jnp.dtype, name: str) -> nn.Module:
    return nn.LayerNorm(epsilon=_EPSILON, dtype=dtype, name=name)


VARIANTS = {"missformer": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    widths: Sequence[int] = (64, 128, 320, 512),
    depths: Sequence[int] = (2, 2, 2, 2),
    heads: Sequence[int] = (1, 2, 5, 8),
    bridge_depth: int = 4,
) -> Segmenter:
    """Builds the network; the decoder mirrors the encoder."""
    if len({len(widths), len(depths), len(heads)}) > 1:
        raise UserError(
            f"widths={tuple(widths)}, depths={tuple(depths)} and heads={tuple(heads)} must have "
            "one number for each level."
        )
    for width, number in zip(widths, heads, strict=True):
        if width % widths[0] or width % number or width % 2:
            raise UserError(
                f"widths={tuple(widths)} must be even, multiples of the first and of the level's "
                f"heads={tuple(heads)}: {width} is not."
            )
    return Segmenter(
        MixEncoder(widths, depths, heads, dtype),
        MixDecoder(num_classes, widths, depths, heads, bridge_depth, dtype),
        # Smaller images would run; below this the coarsest position sees mostly padding.
        min_size=_PATCH * 2 ** (len(widths) - 1),
        small_image_hint=", or fewer levels in model.options.widths, depths and heads",
    )
