"""TransUNet (Chen et al. 2021, "TransUNet: transformers make strong...", arXiv:2102.04306).

`transunet` is the paper's R50-ViT-B/16 with three skips (sec. 3.2): a ResNet with group norm and
standardized kernels down to 1/16 of the image, a vision transformer on its positions, and the
cascaded upsampler (CUP). 105,276,066 parameters with three channels and two classes at 224 pixels.

As in the authors' code, the ResNet's blocks have their norms after the convolutions, the norm of a
projected shortcut has one group for each channel, pooling does not pad, and the first skip after it
gets a row and a column of zeros in exchange.

Position embeddings belong to the grid of `image_size`; at other sizes they are interpolated, so
that any size works.

Deviations: images with one channel are not repeated to three: the first kernel has one input.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.attention.position_embedding import PositionEmbedding
from cnnlab.nn.attention.transformer_mlp import TransformerMlp
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct, he_init
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.norm import GroupNorm
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resize import resize_bilinear
from cnnlab.nn.std_conv import StdConv

_EPSILON = 1e-6
_PATCH = 16


class StdBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with standardized kernels, each followed by group norm.

    Attributes:
      features: channels of the first two convolutions; the last has four times as many.
      stride: stride of the 3x3 convolution and of the shortcut.
    """

    features: int
    stride: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, ..., 4 * features]."""
        conv = partial(StdConv, use_bias=False, kernel_init=he_init, dtype=self.dtype)
        norm = _group_norm(self.dtype)
        out = 4 * self.features
        y = nn.relu(norm(name="norm1")(conv(self.features, (1, 1), name="conv1")(x)))
        y = conv(self.features, (3, 3), self.stride, padding=1, name="conv2")(y)
        y = nn.relu(norm(name="norm2")(y))
        y = norm(name="norm3")(conv(out, (1, 1), name="conv3")(y))
        if self.stride > 1 or x.shape[-1] != out:
            x = conv(out, (1, 1), self.stride, name="shortcut_conv")(x)
            x = GroupNorm(out, epsilon=1e-5, dtype=self.dtype, name="shortcut_norm")(x)
        return nn.relu(x + y)


class TransformerBlock(nn.Module):
    """Norm and attention, norm and dense layers, each added to its input (eqs. 2 and 3).

    Attributes:
      heads: number of attention heads.
      hidden: width between the dense layers.
      dropout: builds a dropout layer; train or eval mode is bound.
    """

    heads: int
    hidden: int
    dropout: Callable[[], nn.Module]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps tokens [batch, tokens, c] to the same shape."""
        norm = partial(nn.LayerNorm, epsilon=_EPSILON, dtype=self.dtype)
        attention = nn.MultiHeadDotProductAttention(
            self.heads,
            kernel_init=nn.initializers.xavier_uniform(),
            force_fp32_for_softmax=True,
            dtype=self.dtype,
            name="attention",
        )
        x = x + attention(norm(name="attention_norm")(x))
        mlp = TransformerMlp(self.hidden, self.dropout, dtype=self.dtype, name="mlp")
        return x + mlp(norm(name="mlp_norm")(x))


class HybridEncoder(nn.Module):
    """A ResNet without its last stage, and a transformer on the positions of its map (sec. 3.1).

    Attributes:
      stage_sizes: bottlenecks in each of the three stages.
      width: channels of the stem; the stages give 4, 8 and 16 times as many.
      hidden_width: channels of a token.
      depth: number of blocks of the transformer.
      heads: number of heads of each attention.
      mlp_width: between a block's dense layers.
      grid: positions on each side, to which the position embeddings belong.
      dropout_rate: dropout rate of tokens, and after each dense layer of a block.
    """

    stage_sizes: Sequence[int]
    width: int
    hidden_width: int
    depth: int
    heads: int
    mlp_width: int
    grid: int
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (2, 4, 8, _PATCH)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to three maps of the ResNet and the tokens'."""
        x = StdConv(
            self.width,
            (7, 7),
            2,
            padding=3,
            use_bias=False,
            kernel_init=he_init,
            dtype=self.dtype,
            name="stem_conv",
        )(images)
        x = nn.relu(_group_norm(self.dtype)(name="stem_norm")(x))
        maps = [x]
        x = max_pool(x, (3, 3), (2, 2))
        for stage, size in enumerate(self.stage_sizes, start=1):
            for number in range(1, size + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                name = f"stage{stage}_block{number}"
                x = StdBottleneck(self.width * 2 ** (stage - 1), stride, self.dtype, name=name)(x)
            maps.append(x)
        maps[1] = jnp.pad(maps[1], ((0, 0), (0, 1), (0, 1), (0, 0)))
        maps[-1] = self._transform(x, train)
        return tuple(maps)

    def _transform(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps the last map [batch, height, width, c] to [batch, height, width, hidden_width]."""
        dropout = partial(Dropout, self.dropout_rate, deterministic=not train)
        x = Conv(self.hidden_width, (1, 1), dtype=self.dtype, name="embed")(x)
        grid = (self.grid, self.grid)
        x = dropout()(PositionEmbedding(grid, self.dtype, name="position_embedding")(x))
        tokens = x.reshape(x.shape[0], -1, self.hidden_width)
        for number in range(1, self.depth + 1):
            tokens = TransformerBlock(
                self.heads, self.mlp_width, dropout, self.dtype, name=f"block{number}"
            )(tokens)
        tokens = nn.LayerNorm(epsilon=_EPSILON, dtype=self.dtype, name="norm")(tokens)
        return tokens.reshape(x.shape)


class CascadedUpsampler(nn.Module):
    """CUP: twice the size, the skip beside it, a pair of convolutions, four times (sec. 3.2).

    Attributes:
      num_classes: channels of the logits.
      width: channels of the convolution that takes the tokens in.
      widths: channels of the four steps, coarse to fine; the last has no skip.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    width: int
    widths: Sequence[int]
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        parts = {
            "norm": make_norm(self.norm, train=train, dtype=self.dtype),
            "activation": make_activation(self.activation),
            "dtype": self.dtype,
        }
        *skips, x = features
        x = ConvNormAct(self.width, name="conv_in", **parts)(x)
        for level in range(len(skips), -1, -1):
            size = skips[level - 1].shape[1:3] if level else images.shape[1:3]
            x = resize_bilinear(x, size, align_corners=True)
            if level:
                x = jnp.concatenate([x, skips[level - 1]], axis=-1)
            width = self.widths[len(skips) - level]
            x = DoubleConv(width, name=f"level{level}", **parts)(x)
        return Conv(self.num_classes, (3, 3), dtype=self.dtype, name="logits")(x)


def _group_norm(dtype: jnp.dtype) -> Callable[..., nn.Module]:
    return make_norm("group", train=False, dtype=dtype, epsilon=_EPSILON)


VARIANTS = {"transunet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    image_size: int = 224,
    stage_sizes: Sequence[int] = (3, 4, 9),
    width: int = 64,
    hidden_width: int = 768,
    depth: int = 12,
    heads: int = 12,
    mlp_width: int = 3072,
    decoder_width: int = 512,
    decoder_widths: Sequence[int] = (256, 128, 64, 16),
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.1,
) -> Segmenter:
    """Builds the network; `norm` and `activation` are the decoder's."""
    if hidden_width % heads:
        raise UserError(f"heads={heads} must divide hidden_width={hidden_width}.")
    if len(stage_sizes) != 3 or len(decoder_widths) != 4:
        raise UserError(
            f"stage_sizes={tuple(stage_sizes)} must have three numbers and decoder_widths="
            f"{tuple(decoder_widths)} four."
        )
    if image_size < _PATCH:
        raise UserError(f"image_size={image_size} must be {_PATCH} or more: one token.")
    encoder = HybridEncoder(
        stage_sizes,
        width,
        hidden_width,
        depth,
        heads,
        mlp_width,
        image_size // _PATCH,
        dropout_rate,
        dtype,
    )
    return Segmenter(
        encoder,
        CascadedUpsampler(num_classes, decoder_width, decoder_widths, norm, activation, dtype),
        # Of a single position, the norm of a projected shortcut leaves nothing but its bias.
        min_size=2 * _PATCH,
    )
