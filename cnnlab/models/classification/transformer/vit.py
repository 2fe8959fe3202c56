"""ViT (Dosovitskiy et al. 2020, "An image is worth 16x16 words...", arXiv:2010.11929).

Table 1 of the paper, and the smaller widths of DeiT (Touvron et al. 2020, arXiv:2012.12877, table
1), `vit_ti_16` and `vit_s_16`. `deit_*_distilled_*` have its second token, which learns from a
teacher (ibid., sec. 4). `deit3_*` are those of DeiT III (Touvron et al. 2022, arXiv:2204.07118),
`vit_*_14_dinov2` those of DINOv2 (Oquab et al. 2023, arXiv:2304.07193), whose blocks scale their
branches. `vit_*_reg4_dinov2` add registers (Darcet et al. 2023, arXiv:2309.16588).

Position embeddings belong to the patches of `image_size` pixels, which may be another than that of
the images: they are interpolated (sec. 3.2 of the paper), by antialiased cubic interpolation, as in
timm. Deviations: images whose size patches do not divide are padded with zeros below and to the
right; the logits' layer starts from a truncated normal distribution, as in DeiT, not from zero; a
distilled network's two logits are averaged in training too, where DeiT trains each with a loss of
its own.
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
_token_init = nn.initializers.normal(0.02)


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
      distilled: whether a distillation token follows the class token.
      registers: number of further tokens that only the attention uses.
      embed_tokens: whether the class and distillation tokens have position embeddings too.
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
    distilled: bool = False
    registers: int = 0
    embed_tokens: bool = True

    @property
    def strides(self) -> tuple[int, ...]:
        """The tokens, which cover the whole image, and the maps of the patches."""
        number = len(self.map_blocks) or 1
        return (0,) * number * (1 + self.distilled) + (self.patch_size,) * number

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to tokens and maps of the patches.

        The class tokens come first, then the distillation tokens, both [batch, 1, 1, width], then
        the maps [batch, height / patch_size, width / patch_size, width]; one of each for each of
        `map_blocks`.
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
        patches = x.reshape(len(x), -1, self.width)

        def tokens(name: str, number: int = 1) -> jax.Array:
            init = nn.initializers.zeros_init() if name == "class_token" else _token_init
            values = self.param(name, init, (1, number, self.width)).astype(self.dtype)
            return jnp.broadcast_to(values, (len(patches), number, self.width))

        first = [tokens("class_token")]
        if self.distilled:
            first.append(tokens("distillation_token"))
        embedded = len(first) if self.embed_tokens else 0
        if self.registers:
            first.append(tokens("registers", self.registers))
        positions = embedded + (-(-self.image_size // size)) ** 2
        embedding = self.param("position_embedding", _token_init, (1, positions, self.width))
        embedding = resize_embedding(embedding, grid).astype(self.dtype)
        first = jnp.concatenate(first, axis=1)
        first = first.at[:, :embedded].add(embedding[:, :embedded])
        x = jnp.concatenate([first, patches + embedding[:, embedded:]], axis=1)
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
        maps = [x[:, first.shape[1] :].reshape(len(x), *grid, self.width) for x in given]
        read = range(1 + self.distilled)
        return (*(x[:, None, n : n + 1] for n in read for x in given), *maps)


class TokenHead(nn.Module):
    """A linear layer on the class token (sec. 3.1).

    Attributes:
      num_classes: width of the logits.
      distillation_map: place of the distillation token among the maps, whose own linear layer's
        logits are averaged with these (arXiv:2012.12877, sec. 4); None without one.
    """

    num_classes: int
    dtype: jnp.dtype = jnp.float32
    distillation_map: int | None = None

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps the class token [batch, 1, 1, c], the first map, to logits [batch, num_classes]."""

        def logits(token: jax.Array, name: str) -> jax.Array:
            init = nn.initializers.truncated_normal(0.02)
            dense = nn.Dense(self.num_classes, kernel_init=init, dtype=self.dtype, name=name)
            return dense(token[:, 0, 0])

        of_class = logits(features[0], "logits")
        if self.distillation_map is None:
            return of_class
        return (of_class + logits(features[self.distillation_map], "distilled_logits")) / 2


_SIZES = {
    "ti": {"width": 192, "depth": 12, "heads": 3},
    "s": {"width": 384, "depth": 12, "heads": 6},
    "b": {"width": 768, "depth": 12, "heads": 12},
    "l": {"width": 1024, "depth": 24, "heads": 16},
    "h": {"width": 1280, "depth": 32, "heads": 16},
}
_DINOV2 = {"patch_size": 14, "image_size": 518, "layer_scale": 1e-5}
_REGISTERS = {"registers": 4, "embed_tokens": False}
_DEIT3 = {"patch_size": 16, "layer_scale": 1e-6, "embed_tokens": False}
_DISTILLED = {"patch_size": 16, "distilled": True}

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
    "vit_small_patch14_reg4_dinov2": _DINOV2 | _REGISTERS | _SIZES["s"],
    "vit_base_patch14_reg4_dinov2": _DINOV2 | _REGISTERS | _SIZES["b"],
    "vit_large_patch14_reg4_dinov2": _DINOV2 | _REGISTERS | _SIZES["l"],
    "vit_small_patch32_224": {"patch_size": 32, **_SIZES["s"]},
    "vit_small_patch8_224": {"patch_size": 8, **_SIZES["s"]},
    "vit_base_patch8_224": {"patch_size": 8, **_SIZES["b"]},
    "deit_tiny_distilled_patch16_224": _DISTILLED | _SIZES["ti"],
    "deit_small_distilled_patch16_224": _DISTILLED | _SIZES["s"],
    "deit_base_distilled_patch16_224": _DISTILLED | _SIZES["b"],
    "deit3_small_patch16_224": _DEIT3 | _SIZES["s"],
    "deit3_medium_patch16_224": _DEIT3 | {"width": 512, "depth": 12, "heads": 8},
    "deit3_base_patch16_224": _DEIT3 | _SIZES["b"],
    "deit3_large_patch16_224": _DEIT3 | _SIZES["l"],
    "deit3_huge_patch14_224": _DEIT3 | _SIZES["h"] | {"patch_size": 14},
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
    distilled: bool = False,
    registers: int = 0,
    embed_tokens: bool = True,
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
        distilled,
        registers,
        embed_tokens,
    )
    # With a single patch it would run, and learn little.
    min_size = patch_size + 1
    hint = f", or model.options.patch_size={patch_size // 2}"
    head = TokenHead(num_classes, dtype, (len(map_blocks) or 1) if distilled else None)
    return Classifier(backbone, head, min_size, hint)
