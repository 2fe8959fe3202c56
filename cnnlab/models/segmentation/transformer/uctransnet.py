"""UCTransNet (Wang et al. 2022, "UCTransNet: rethinking the skip...", arXiv:2109.04335).

A U-Net whose four skips pass through a transformer together (CTrans): each level's channels attend
to the channels of all levels. The decoder weighs the channels of a skip by what
comes from below (CCA). `uctransnet`: 66,430,722 parameters with three channels, two classes and
position embeddings for 224 pixels.

As in the authors' code, the heads' results are averaged, keys and values of a head are as wide as
all levels together, and convolutions have a bias under their batch norm.

Position embeddings belong to the grid of `image_size`; at other sizes they are interpolated, so
that any size works. Patches have 16 pixels of the image on each side; where they do not divide it,
a rest below and to the right has no patch of its own, and the map of patches is stretched over it.

Deviations: none.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.attention.position_embedding import PositionEmbedding
from cnnlab.nn.attention.transformer_mlp import TransformerMlp
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resize import resize_nearest

_EPSILON = 1e-6
_PATCH = 16
_SKIPS = 4


class UCTransEncoder(nn.Module):
    """One convolution, then four times pooling and a pair of convolutions.

    Attributes:
      width: channels of the first level; the next have 2, 4, 8 and 8 times as many.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    width: int
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (1, 2, 4, 8, 16)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the map of each level."""
        parts = _parts(self.norm, self.activation, train, self.dtype)
        maps = [ConvNormAct(self.width, name="level1", **parts)(images)]
        for level, factor in enumerate((2, 4, 8, 8), start=2):
            x = max_pool(maps[-1], (2, 2), (2, 2))
            maps.append(DoubleConv(factor * self.width, name=f"level{level}", **parts)(x))
        return tuple(maps)


class ChannelAttention(nn.Module):
    """Cross attention in which channels, not positions, are the tokens (CCT in the paper).

    Attributes:
      heads: each as wide as its input; their results are averaged.
      dropout: builds a dropout layer; train or eval mode is bound.
    """

    heads: int
    dropout: Callable[[], nn.Module]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, levels: Sequence[jax.Array], joined: jax.Array) -> list[jax.Array]:
        """Maps each level's [batch, positions, c] to the same shape.

        Args:
          levels: give the queries.
          joined: [batch, positions, channels of all levels]; gives keys and values.
        """

        def project(x: jax.Array, name: str) -> jax.Array:
            shape = (self.heads, x.shape[-1])
            return nn.DenseGeneral(shape, use_bias=False, dtype=self.dtype, name=name)(x)

        keys, values = project(joined, "key"), project(joined, "value")
        results = []
        for number, level in enumerate(levels, start=1):
            weights = channel_weights(project(level, f"query{number}"), keys)
            weights = self.dropout()(weights.astype(self.dtype))
            y = jnp.einsum("bhck,bnhk->bnc", weights, values) / self.heads
            y = nn.Dense(level.shape[-1], use_bias=False, dtype=self.dtype, name=f"out{number}")(y)
            results.append(self.dropout()(y))
        return results


def channel_weights(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """How much each channel of a level attends to each channel of all levels.

    The scores of a head are normalized over both kinds of channels before the softmax, so that
    their spread does not depend on how many positions they sum over.

    Args:
      queries: [batch, positions, heads, channels of a level].
      keys: [batch, positions, heads, channels of all levels].

    Returns:
      float32 [batch, heads, channels of a level, channels of all levels]; rows sum to 1.
    """
    scores = jnp.einsum("bnhc,bnhk->bhck", queries, keys).astype(jnp.float32)
    scores /= jnp.sqrt(jnp.float32(keys.shape[-1]))
    mean = scores.mean((2, 3), keepdims=True)
    variance = scores.var((2, 3), keepdims=True)
    return nn.softmax((scores - mean) * lax.rsqrt(variance + 1e-5))


class CrossFusionBlock(nn.Module):
    """Channel attention over all levels, dense layers for each, both added to their input.

    Attributes:
      heads: number of attention heads.
      dropout: builds a dropout layer; train or eval mode is bound.
    """

    heads: int
    dropout: Callable[[], nn.Module]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, levels: Sequence[jax.Array]) -> list[jax.Array]:
        """Maps each level's [batch, positions, c] to the same shape."""
        norm = partial(nn.LayerNorm, epsilon=_EPSILON, dtype=self.dtype)
        normed = [norm(name=f"attention_norm{n}")(x) for n, x in enumerate(levels, start=1)]
        joined = norm(name="attention_norm")(jnp.concatenate(levels, axis=-1))
        attention = ChannelAttention(self.heads, self.dropout, self.dtype, name="attention")
        attended = attention(normed, joined)
        results = []
        for number, (x, y) in enumerate(zip(levels, attended, strict=True), start=1):
            x = x + y
            mlp = TransformerMlp(4 * x.shape[-1], dtype=self.dtype, name=f"mlp{number}")
            results.append(x + mlp(norm(name=f"mlp_norm{number}")(x)))
        return results


class ChannelTransformer(nn.Module):
    """CTrans: patches of all levels on one grid, blocks, and back to the levels' sizes.

    Attributes:
      depth: number of blocks.
      heads: number of heads of each attention.
      grid: patches on each side, to which the position embeddings belong.
      norm: norm of the reconstruction: `batch`, `layer`, `group` or `none`.
      activation: activation of the reconstruction.
      dropout_rate: dropout rate of patches, and in each attention.
    """

    depth: int
    heads: int
    grid: int
    norm: str = "batch"
    activation: str = "relu"
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, skips: Sequence[jax.Array], *, train: bool) -> list[jax.Array]:
        """Maps each level's [batch, height, width, c] to the same shape."""
        dropout = partial(Dropout, self.dropout_rate, deterministic=not train)
        levels = []
        for number, skip in enumerate(skips, start=1):
            size, channels = _PATCH // 2 ** (number - 1), skip.shape[-1]
            x = Conv(
                channels,
                (size, size),
                size,
                padding="VALID",
                dtype=self.dtype,
                name=f"embed{number}",
            )(skip)
            embedding = PositionEmbedding(
                (self.grid, self.grid), self.dtype, name=f"position_embedding{number}"
            )
            x = dropout()(embedding(x))
            grid = x.shape[1:3]
            levels.append(x.reshape(x.shape[0], -1, channels))
        for number in range(1, self.depth + 1):
            block = CrossFusionBlock(self.heads, dropout, self.dtype, name=f"block{number}")
            levels = block(levels)
        results = []
        for number, (x, skip) in enumerate(zip(levels, skips, strict=True), start=1):
            x = nn.LayerNorm(epsilon=_EPSILON, dtype=self.dtype, name=f"norm{number}")(x)
            x = x.reshape(x.shape[0], *grid, -1)
            # The 1x1 convolution commutes with the enlargement, and so costs less before it; batch
            # norm then sees each patch once, which only an uneven enlargement can tell.
            x = ConvNormAct(
                x.shape[-1],
                kernel=1,
                name=f"reconstruct{number}",
                **_parts(self.norm, self.activation, train, self.dtype),
            )(x)
            results.append(skip + resize_nearest(x, skip.shape[1:3]))
        return results


class ChannelGate(nn.Module):
    """CCA: scales each channel of a skip by a gate of the means of both maps."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, skip: jax.Array) -> jax.Array:
        """Maps the map from below and the skip to the skip's shape."""
        dense = partial(nn.Dense, skip.shape[-1], dtype=self.dtype)
        below = dense(name="below")(x.mean((1, 2), keepdims=True))
        beside = dense(name="skip")(skip.mean((1, 2), keepdims=True))
        return nn.relu(skip * nn.sigmoid((below + beside) / 2))


class UCTransDecoder(nn.Module):
    """The channel transformer on the skips; then twice the size, the gated skip, convolutions.

    Attributes:
      num_classes: channels of the logits.
      width: channels of the first level.
      depth: number of blocks of the channel transformer.
      heads: number of heads of each channel attention.
      grid: patches on each side, to which the position embeddings belong.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
      dropout_rate: dropout rate of patches, and in each attention.
    """

    num_classes: int
    width: int
    depth: int
    heads: int
    grid: int
    norm: str = "batch"
    activation: str = "relu"
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        *skips, x = features
        transformer = ChannelTransformer(
            self.depth,
            self.heads,
            self.grid,
            self.norm,
            self.activation,
            self.dropout_rate,
            self.dtype,
            name="transformer",
        )
        skips = transformer(skips, train=train)
        for level in range(_SKIPS, 0, -1):
            skip = skips[level - 1]
            x = resize_nearest(x, skip.shape[1:3])
            skip = ChannelGate(self.dtype, name=f"gate{level}")(x, skip)
            x = DoubleConv(
                self.width * 2 ** max(level - 2, 0),
                name=f"level{level}",
                **_parts(self.norm, self.activation, train, self.dtype),
            )(jnp.concatenate([skip, x], axis=-1))
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


def _parts(norm: str, activation: str, train: bool, dtype: jnp.dtype) -> dict:
    return {
        "norm": make_norm(norm, train=train, dtype=dtype),
        "activation": make_activation(activation),
        "use_bias": True,
        "dtype": dtype,
    }


VARIANTS = {"uctransnet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    image_size: int = 224,
    width: int = 64,
    depth: int = 4,
    heads: int = 4,
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.1,
) -> Segmenter:
    """Builds the network; `depth` and `heads` are options of the channel transformer."""
    if image_size < _PATCH:
        raise UserError(f"image_size={image_size} must be {_PATCH} or more: one patch.")
    grid = image_size // _PATCH
    return Segmenter(
        UCTransEncoder(width, norm, activation, dtype),
        UCTransDecoder(
            num_classes, width, depth, heads, grid, norm, activation, dropout_rate, dtype
        ),
        min_size=_PATCH,
    )
