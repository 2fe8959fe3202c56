"""ViT (Dosovitskiy et al. 2020, "An image is worth 16x16 words...", arXiv:2010.11929).

Table 1 of the paper, and the smaller widths of DeiT (Touvron et al. 2020, arXiv:2012.12877, table
1), `vit_ti_16` and `vit_s_16`. `vit_*_14_dinov2` are those of DINOv2 (Oquab et al. 2023,
arXiv:2304.07193), whose blocks scale their branches.

Position embeddings belong to the patches of `image_size` pixels, which may be another than that of
the images: they are interpolated (sec. 3.2 of the paper). Deviations: interpolation is linear;
images whose size patches do not divide are padded with zeros below and to the right; the logits'
layer starts from a truncated normal distribution, as in DeiT, not from zero.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.nn.attention.position_embedding import resize_embedding
from cnnlab.nn.attention.transformer_block import TransformerBlock
from cnnlab.nn.conv import Conv
from cnnlab.nn.dropout import Dropout

_EPSILON = 1e-6


class VisionTransformer(nn.Module):
    """Patches and a class token, with position embeddings, through blocks and a last norm (fig. 1).

    Attributes:
      patch_size: height and width of a patch in pixels.
      width: channels of a token.
      depth: number of blocks.
      heads: number of heads of each attention; must divide `width`.
      image_size: height and width in pixels that the position embeddings belong to.
      mlp_ratio: width between a block's dense layers, in multiples of `width`.
      layer_scale: initial value of a trainable scale per channel on each branch; None adds none.
      dropout_rate: dropout rate of the tokens, and in the blocks.
      stochastic_depth_rate: probability of dropping a branch of the last block in training; the
        rate rises linearly from 0 at the first block.
      map_blocks: numbers of the blocks, from 1, after which tokens are given, without the last
        norm; empty gives those of the last block after the norm.
    """

    patch_size: int
    width: int
    depth: int
    heads: int
    image_size: int = 224
    mlp_ratio: int = 4
    layer_scale: float | None = None
    dropout_rate: float = 0.0
    stochastic_depth_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    map_blocks: Sequence[int] = ()

    @property
    def strides(self) -> tuple[int, ...]:
        """The class tokens, which cover the whole image, and the maps of the patches."""
        number = len(self.map_blocks) or 1
        return (0,) * number + (self.patch_size,) * number

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to class tokens and as many maps of the patches.

        They are [batch, 1, 1, width] and [batch, height / patch_size, width / patch_size, width].
        """
        size = self.patch_size
        sides = [(0, -extent % size) for extent in images.shape[1:3]]
        x = Conv(
            self.width,
            (size, size),
            size,
            padding="VALID",
            kernel_init=nn.initializers.lecun_normal(),
            dtype=self.dtype,
            name="patches",
        )(jnp.pad(images, ((0, 0), *sides, (0, 0))))
        grid = x.shape[1:3]
        token = self.param("class_token", nn.initializers.zeros_init(), (1, 1, self.width))
        token = jnp.broadcast_to(token.astype(self.dtype), (len(x), 1, self.width))
        x = jnp.concatenate([token, x.reshape(len(x), -1, self.width)], axis=1)
        positions = 1 + (-(-self.image_size // size)) ** 2
        init = nn.initializers.normal(0.02)
        embedding = self.param("position_embedding", init, (1, positions, self.width))
        x = x + resize_embedding(embedding, grid).astype(self.dtype)
        dropout = partial(Dropout, self.dropout_rate, deterministic=not train)
        x = dropout()(x)
        given = []
        for number in range(self.depth):
            rate = self.stochastic_depth_rate * number / max(1, self.depth - 1)
            x = TransformerBlock(
                self.heads,
                self.mlp_ratio * self.width,
                _EPSILON,
                self.layer_scale,
                dropout,
                partial(Dropout, rate, broadcast_dims=(1, 2), deterministic=not train),
                self.dtype,
                name=f"block{number + 1}",
            )(x)
            given += [x] * tuple(self.map_blocks).count(number + 1)
        if not self.map_blocks or self.is_initializing():  # its weights are part of every file
            x = nn.LayerNorm(_EPSILON, dtype=self.dtype, name="norm")(x)
        given = given or [x]
        maps = [x[:, 1:].reshape(len(x), *grid, self.width) for x in given]
        return (*(x[:, None, :1] for x in given), *maps)


class TokenHead(nn.Module):
    """A linear layer on the class token (sec. 3.1).

    Attributes:
      num_classes: width of the logits.
    """

    num_classes: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps the class token [batch, 1, 1, c], the first map, to logits [batch, num_classes]."""
        init = nn.initializers.truncated_normal(0.02)
        return nn.Dense(self.num_classes, kernel_init=init, dtype=self.dtype, name="logits")(
            features[0][:, 0, 0]
        )


_SIZES = {
    "ti": {"width": 192, "depth": 12, "heads": 3},
    "s": {"width": 384, "depth": 12, "heads": 6},
    "b": {"width": 768, "depth": 12, "heads": 12},
    "l": {"width": 1024, "depth": 24, "heads": 16},
    "h": {"width": 1280, "depth": 32, "heads": 16},
}
_DINOV2 = {"patch_size": 14, "image_size": 518, "layer_scale": 1e-5}

VARIANTS = {
    "vit_ti_16": {"patch_size": 16, **_SIZES["ti"]},
    "vit_s_16": {"patch_size": 16, **_SIZES["s"]},
    "vit_b_16": {"patch_size": 16, **_SIZES["b"]},
    "vit_b_32": {"patch_size": 32, **_SIZES["b"]},
    "vit_l_16": {"patch_size": 16, **_SIZES["l"]},
    "vit_l_32": {"patch_size": 32, **_SIZES["l"]},
    "vit_h_14": {"patch_size": 14, **_SIZES["h"]},
    "vit_s_14_dinov2": _DINOV2 | _SIZES["s"],
    "vit_b_14_dinov2": _DINOV2 | _SIZES["b"],
    "vit_l_14_dinov2": _DINOV2 | _SIZES["l"],
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    patch_size: int,
    width: int,
    depth: int,
    heads: int,
    image_size: int = 224,
    mlp_ratio: int = 4,
    layer_scale: float | None = None,
    dropout_rate: float = 0.0,
    stochastic_depth_rate: float = 0.0,
    map_blocks: Sequence[int] = (),
) -> Classifier:
    """Builds the network."""
    if not all(1 <= number <= depth for number in map_blocks):
        raise UserError(f"map_blocks={tuple(map_blocks)} must be numbers from 1 to depth={depth}.")
    if width % heads:
        raise UserError(f"heads={heads} must divide the width {width}.")
    backbone = VisionTransformer(
        patch_size,
        width,
        depth,
        heads,
        image_size,
        mlp_ratio,
        layer_scale,
        dropout_rate,
        stochastic_depth_rate,
        dtype,
        map_blocks,
    )
    # With a single patch it would run, and learn little.
    min_size = patch_size + 1
    hint = f", or model.options.patch_size={patch_size // 2}"
    return Classifier(backbone, TokenHead(num_classes, dtype), min_size, hint)
