"""EdgeNeXt (Maaz et al. 2022, "Efficiently amalgamated CNN-transformer...", arXiv:2206.10589).

Table 1 of the paper and the larger `edgenext_base` of the published code, under timm's names: the
blocks of ConvNeXt, and at the end of each stage but the first a block with attention between
channels. Deviation: the linear layer that gives the logits starts as in every other head here, not
from a truncated normal distribution.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.convnext import ConvNeXtBlock, patch_conv
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.attention.cross_covariance_attention import CrossCovarianceAttention
from cnnlab.nn.attention.position_embedding import FourierPositionEmbedding
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.stochastic_depth import drop_path

_kernel_init = nn.initializers.truncated_normal(0.02)
_LAYER_SCALE = 1e-6
_EPSILON = 1e-6


class SplitAttentionBlock(nn.Module):
    """Depthwise convolutions of groups of channels in turn, attention between channels, dense net.

    The split depthwise transpose attention of the paper (sec. 3.2, fig. 2): each group of channels
    but the last is convolved, together with the result of the group before it, so that later ones
    have seen more of the image.

    Attributes:
      scales: number of groups of channels, of equal size but for the last, which may be smaller.
      heads: number of heads of the attention; must divide the channels.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation between the two dense layers.
      drop_path: builds the dropout of a branch; train or eval mode is bound.
      position_embedding: whether an embedding of each position is added before the attention.
    """

    scales: int
    heads: int
    norm: Callable[..., nn.Module]
    activation: Activation
    drop_path: Callable[[], nn.Module]
    position_embedding: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        channels = x.shape[-1]
        dense = partial(nn.Dense, kernel_init=_kernel_init, dtype=self.dtype)
        y = self._convolved(x)
        if self.position_embedding:
            y = FourierPositionEmbedding(
                kernel_init=_kernel_init, dtype=self.dtype, name="position_embedding"
            )(y)
        tokens = y.reshape(y.shape[0], -1, channels)
        attention = CrossCovarianceAttention(
            self.heads, _kernel_init, self.dtype, name="attention"
        )(self.norm(name="attention_norm")(tokens))
        y = y + self.drop_path()(self._scaled("attention_scale", attention.reshape(y.shape)))
        y = dense(4 * channels, name="expand")(self.norm(name="norm")(y))
        y = dense(channels, name="project")(self.activation(y))
        return x + self.drop_path()(self._scaled("mlp_scale", y))

    def _convolved(self, x: jax.Array) -> jax.Array:
        size = -(-x.shape[-1] // self.scales)
        *groups, last = jnp.split(x, list(range(size, x.shape[-1], size)), axis=-1)
        done = []
        for number, group in enumerate(groups, start=1):
            if done:
                group = group + done[-1]
            group = Conv(
                size,
                (3, 3),
                padding=1,
                feature_group_count=size,
                kernel_init=_kernel_init,
                dtype=self.dtype,
                name=f"split_conv{number}",
            )(group)
            done.append(group)
        return jnp.concatenate([*done, last], axis=-1)

    def _scaled(self, name: str, x: jax.Array) -> jax.Array:
        scale = self.param(name, nn.initializers.constant(_LAYER_SCALE), x.shape[-1:])
        return x * scale.astype(self.dtype)


class EdgeNeXt(nn.Module):
    """Patches, and stages of blocks with downsampling by 2 between them (fig. 2).

    Attributes:
      stage_sizes: blocks in each stage.
      widths: channels of each stage.
      kernels: height and width of the depthwise kernels of each stage's ConvNeXt blocks.
      attention_blocks: number of `SplitAttentionBlock` at the end of each stage.
      scales: groups of channels in these, for each stage; at least 2.
      position_embeddings: `position_embedding` of the blocks of each stage.
      heads: number of heads of their attention; must divide the channels.
      patch_size: height and width of the patches of the stem; 4 in the paper.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation of the blocks.
      stochastic_depth_rate: probability of dropping the last block's branch in training; the rate
        rises linearly from 0 at the first block.
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int]
    kernels: Sequence[int]
    attention_blocks: Sequence[int]
    scales: Sequence[int]
    position_embeddings: Sequence[bool]
    heads: int = 8
    patch_size: int = 4
    norm: str = "layer"
    activation: str = "gelu"
    stochastic_depth_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.patch_size * 2**stage for stage in range(len(self.stage_sizes)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the stages' maps, one for each of `strides`."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype, epsilon=_EPSILON)
        activation = make_activation(self.activation)

        patches = partial(patch_conv, dtype=self.dtype)
        x = norm(name="stem_norm")(
            patches(self.widths[0], self.patch_size, name="stem_conv")(images)
        )
        maps, blocks_before, last_block = [], 0, sum(self.stage_sizes) - 1
        for stage, size in enumerate(self.stage_sizes):
            if stage:
                x = norm(name=f"transition{stage}_norm")(x)
                x = patches(self.widths[stage], 2, name=f"transition{stage}_conv")(x)
            for number in range(1, size + 1):
                rate = self.stochastic_depth_rate * blocks_before / max(1, last_block)
                dropout = drop_path(rate, train=train)
                blocks_before += 1
                if number > size - self.attention_blocks[stage]:
                    x = SplitAttentionBlock(
                        self.scales[stage],
                        self.heads,
                        norm,
                        activation,
                        dropout,
                        self.position_embeddings[stage],
                        self.dtype,
                        name=f"stage{stage + 1}_attention{number}",
                    )(x)
                    continue
                x = ConvNeXtBlock(
                    norm,
                    activation,
                    dropout,
                    self.dtype,
                    kernel=self.kernels[stage],
                    name=f"stage{stage + 1}_block{number}",
                )(x)
            maps.append(x)
        return tuple(maps)


VARIANTS = {
    "edgenext_xx_small": {
        "stage_sizes": (2, 2, 6, 2),
        "widths": (24, 48, 88, 168),
        "heads": 4,
    },
    "edgenext_x_small": {
        "stage_sizes": (3, 3, 9, 3),
        "widths": (32, 64, 100, 192),
        "heads": 4,
    },
    "edgenext_small": {"stage_sizes": (3, 3, 9, 3), "widths": (48, 96, 160, 304)},
    "edgenext_base": {"stage_sizes": (3, 3, 9, 3), "widths": (80, 160, 288, 584)},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    widths: Sequence[int],
    kernels: Sequence[int] = (3, 5, 7, 9),
    attention_blocks: Sequence[int] = (0, 1, 1, 1),
    scales: Sequence[int] = (2, 2, 3, 4),
    position_embeddings: Sequence[bool] = (False, True, False, False),
    heads: int = 8,
    patch_size: int = 4,
    norm: str = "layer",
    activation: str = "gelu",
    stochastic_depth_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network. The layer norm of the head stays, whatever `norm` is."""
    backbone = EdgeNeXt(
        stage_sizes,
        widths,
        kernels,
        attention_blocks,
        scales,
        position_embeddings,
        heads,
        patch_size,
        norm,
        activation,
        stochastic_depth_rate,
        dtype,
    )
    _check(backbone)
    # As of ResNet: at 32 pixels the paper's patches leave the last stage one pixel; that would run,
    # and learn little.
    return Classifier(
        backbone,
        LinearHead(num_classes, dropout_rate, dtype, layer_norm_epsilon=_EPSILON),
        backbone.strides[-1] + 1,
        f", or model.options.patch_size={patch_size // 2}" if patch_size > 1 else "",
    )


def _check(backbone: EdgeNeXt) -> None:
    stages = len(backbone.stage_sizes)
    for name in ("widths", "kernels", "attention_blocks", "scales", "position_embeddings"):
        values = getattr(backbone, name)
        if len(values) != stages:
            raise UserError(
                f"{name} {tuple(values)} must have one value for each of the {stages} stages of "
                "stage_sizes."
            )
    columns = zip(backbone.widths, backbone.scales, backbone.attention_blocks, strict=True)
    for width, scales, blocks in columns:
        if blocks and (scales < 2 or -(-width // scales) * (scales - 1) >= width):
            raise UserError(
                f"{width} channels cannot be split into scales={scales} groups of equal size, of "
                "which only the last may be smaller: choose another number, of at least 2."
            )
        if blocks and width % backbone.heads:
            raise UserError(
                f"widths {tuple(backbone.widths)} of stages with attention must be multiples of "
                f"heads={backbone.heads}: change either."
            )
