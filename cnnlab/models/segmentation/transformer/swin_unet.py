"""Swin-Unet (Cao et al. 2021, "Swin-Unet: Unet-like pure transformer...", arXiv:2105.05537).

A U-Net of Swin transformer blocks without a convolution but that of the patches (fig. 1): patch
merging on the way down, patch expanding on the way up. `swin_unet` has the widths of Swin-T;
27,168,900 parameters with three channels and nine classes.

As in the authors' code, the skip of a level is the input of its blocks (fig. 1 draws their output),
and the decoder's blocks have the encoder's depths and rates of stochastic depth.

Images that patches and mergings do not divide are padded below and to the right, and the logits are
cropped; maps that windows do not divide are padded within each block, where nothing attends to the
padding. So any size works, with the same parameters; at 224 pixels nothing is padded.

Deviations: a map smaller than a window keeps the window's position bias, and not one of its own.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.attention.patch_expand import PatchExpand
from cnnlab.nn.attention.swin_block import PatchMerging, SwinBlock
from cnnlab.nn.conv import Conv
from cnnlab.nn.stochastic_depth import drop_path

_init = nn.initializers.truncated_normal(0.02)
_EPSILON = 1e-5


class SwinLevels(nn.Module):
    """What encoder and decoder have in common: the blocks of each level.

    Attributes:
      width: channels of the finest level; each coarser one has twice as many.
      depths: blocks of each level, fine to coarse; every second one shifts its windows.
      heads: number of attention heads in each level.
      patch_size: height and width in pixels of a position of the finest level.
      window: height and width of a window in positions.
      mlp_ratio: width between a block's dense layers, in multiples of its channels.
      stochastic_depth_rate: probability of dropping a branch of the coarsest level's last block in
        training; the rate rises linearly from 0 at the first block of the finest level.
    """

    width: int
    depths: Sequence[int]
    heads: Sequence[int]
    patch_size: int
    window: int
    mlp_ratio: int
    stochastic_depth_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def blocks(self, x: jax.Array, level: int, train: bool) -> jax.Array:
        """Maps a map of a level, counted from 1, to the same shape."""
        rates = np.linspace(0.0, self.stochastic_depth_rate, sum(self.depths))
        before = sum(self.depths[: level - 1])
        for number in range(1, self.depths[level - 1] + 1):
            x = SwinBlock(
                self.heads[level - 1],
                self.window,
                0 if number % 2 else self.window // 2,
                self.mlp_ratio,
                drop_path(float(rates[before + number - 1]), train=train),
                dtype=self.dtype,
                name=f"level{level}_block{number}",
            )(x)
        return x


class SwinEncoder(SwinLevels):
    """Patches, and levels of blocks with patch merging between them."""

    @property
    def strides(self) -> tuple[int, ...]:
        levels = range(len(self.depths))
        return (*(self.patch_size * 2**level for level in levels), self._coarsest)

    @property
    def _coarsest(self) -> int:
        return self.patch_size * 2 ** (len(self.depths) - 1)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the input of each level, and the last output."""
        sides = [(0, -extent % self._coarsest) for extent in images.shape[1:3]]
        x = Conv(
            self.width,
            (self.patch_size, self.patch_size),
            self.patch_size,
            padding="VALID",
            dtype=self.dtype,
            name="embed",
        )(jnp.pad(images, ((0, 0), *sides, (0, 0))))
        x = _norm(self.dtype, "embed_norm")(x)
        maps = []
        for level in range(1, len(self.depths) + 1):
            if level > 1:
                x = PatchMerging(dtype=self.dtype, name=f"merge{level}")(x)
            maps.append(x)
            x = self.blocks(x, level, train)
        return (*maps, _norm(self.dtype, "norm")(x))


class SwinDecoder(SwinLevels):
    """Patch expanding, the skip beside it and a dense layer over both, blocks.

    Attributes:
      num_classes: channels of the logits.
    """

    num_classes: int = 1

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        expand = partial(PatchExpand, epsilon=_EPSILON, kernel_init=_init, dtype=self.dtype)
        *skips, x = features
        for level in range(len(self.depths) - 1, 0, -1):
            skip = skips[level - 1]
            x = expand(skip.shape[-1], name=f"expand{level}")(x)
            x = jnp.concatenate([x, skip], axis=-1)
            x = _dense(skip.shape[-1], self.dtype, f"fuse{level}")(x)
            x = self.blocks(x, level, train)
        x = _norm(self.dtype, "norm")(x)
        x = expand(self.width, self.patch_size, name="expand_last")(x)
        x = x[:, : images.shape[1], : images.shape[2]]
        return Conv(self.num_classes, (1, 1), use_bias=False, dtype=self.dtype, name="logits")(x)


def _norm(dtype: jnp.dtype, name: str) -> nn.Module:
    return nn.LayerNorm(epsilon=_EPSILON, dtype=dtype, name=name)


def _dense(features: int, dtype: jnp.dtype, name: str, use_bias: bool = True) -> nn.Module:
    return nn.Dense(features, use_bias, dtype=dtype, kernel_init=_init, name=name)


VARIANTS = {"swin_unet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 96,
    depths: Sequence[int] = (2, 2, 2, 2),
    heads: Sequence[int] = (3, 6, 12, 24),
    patch_size: int = 4,
    window: int = 7,
    mlp_ratio: int = 4,
    stochastic_depth_rate: float = 0.1,
) -> Segmenter:
    """Builds the network; the decoder mirrors the encoder."""
    if len(depths) != len(heads):
        raise UserError(
            f"depths={tuple(depths)} and heads={tuple(heads)} must have one number for each level."
        )
    for level, number in enumerate(heads):
        if width * 2**level % number:
            raise UserError(
                f"heads={tuple(heads)} must divide the channels of each level: {number} does not "
                f"divide {width * 2**level}."
            )
    fields = (width, depths, heads, patch_size, window, mlp_ratio, stochastic_depth_rate, dtype)
    return Segmenter(
        SwinEncoder(*fields),
        SwinDecoder(*fields, num_classes=num_classes),
        # Smaller images would run, padded to this.
        min_size=patch_size * 2 ** (len(depths) - 1),
        small_image_hint=f", or model.options.patch_size={patch_size // 2}",
    )
