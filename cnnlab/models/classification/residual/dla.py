"""DLA (Yu et al. 2018, "Deep layer aggregation", arXiv:1707.06484).

Each stage is a tree of residual blocks. Its roots, 1x1 convolutions, join the maps of the blocks
below them, and the last root those of the stage before too (sec. 3, fig. 2f).

- `dla34` to `dla169`: table 1; those with `c` are compact. From `dla102` on, each root adds
  the map of its last block, as in timm.
- `dla*x*`: 3x3 convolutions in 32 groups, or in 64 in `dla102x2` (sec. 4.1).
- `dla60_res2net`, `dla60_res2next`: with the 3x3 convolutions of Res2Net (Gao et al. 2019,
  arXiv:1904.01169, sec. 3.3).

Deviations: maps of odd size are pooled with their last row and column, so images of any size fit;
timm and the authors' code take multiples of 32 only. `stem=cifar` is ours: a 3x3 convolution in
place of 7x7, and no stride before the second stage.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.residual.res2net import Res2NetBlock
from cnnlab.models.classification.resnet import (
    BasicBlock,
    BottleneckBlock,
    ResidualBlock,
    check_residual,
)
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool_ceil


class DlaBottleneckBlock(BottleneckBlock):
    """A bottleneck whose output has twice the features of its 3x3 convolution."""

    expansion = 2


class DlaRes2NetBlock(Res2NetBlock):
    """The same with the 3x3 convolutions of Res2Net."""

    expansion = 2


class AggregationTree(nn.Module):
    """A binary tree of blocks, each pair of which has a root (fig. 2f).

    Attributes:
      depth: levels of the tree; 1 is two blocks and their root.
      features: channels of the output.
      stride: stride of the first block.
      block: builds a block from `features` of its output, `stride` and `name`.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after each root.
      join_input: whether the last root also gets the tree's input.
      root_shortcut: whether roots add the map of their last block.
    """

    depth: int
    features: int
    stride: int
    block: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Activation
    join_input: bool = False
    root_shortcut: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, joined: tuple[jax.Array, ...] = ()) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features].

        Args:
          x: the map.
          joined: maps of the output's size that the last root also gets.
        """
        below = max_pool_ceil(x, self.stride, self.stride) if self.stride > 1 else x
        if self.join_input:
            joined = (*joined, below)
        if self.depth > 1:
            tree = partial(
                AggregationTree,
                self.depth - 1,
                self.features,
                block=self.block,
                norm=self.norm,
                activation=self.activation,
                root_shortcut=self.root_shortcut,
                dtype=self.dtype,
            )
            y = tree(stride=self.stride, name="tree1")(x)
            return tree(stride=1, name="tree2")(y, (*joined, y))
        conv = partial(
            ConvNormAct, self.features, 1, norm=self.norm, activation=None, dtype=self.dtype
        )
        shortcut = conv(name="project")(below) if x.shape[-1] != self.features else below
        first = self.block(features=self.features, stride=self.stride, name="tree1")(x, shortcut)
        second = self.block(features=self.features, stride=1, name="tree2")(first)
        y = conv(name="root")(jnp.concatenate([second, first, *joined], axis=-1))
        return self.activation(y + second if self.root_shortcut else y)


class DLA(nn.Module):
    """Two convolutions, a third that strides, and stages that are trees.

    Attributes:
      depths: levels of each stage's tree.
      widths: channels of the first two convolutions, the third, and each stage.
      block: builds a block from `features`, `stride`, `norm`, `activation`, `dtype` and `name`.
      stem: `imagenet` (7x7; the third convolution strides) or `cifar` (3x3; it does not).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation between the layers.
      root_shortcut: whether roots add the map of their last block.
    """

    depths: Sequence[int]
    widths: Sequence[int]
    block: Callable[..., nn.Module]
    stem: str = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    root_shortcut: bool = False
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        finest = 2 if self.stem == "imagenet" else 1
        return tuple(finest * 2**stage for stage in range(len(self.depths) + 1))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the third convolution's map and the stages'."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        conv = partial(
            ConvNormAct, norm=norm, activation=activation, use_bias=False, dtype=self.dtype
        )
        kernel, stride = (7, 2) if self.stem == "imagenet" else (3, 1)
        x = conv(self.widths[0], kernel, name="stem")(images)
        x = conv(self.widths[0], name="level0")(x)
        maps = [conv(self.widths[1], stride=stride, name="level1")(x)]
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths[2:], strict=True)):
            tree = AggregationTree(
                depth,
                width,
                2,
                partial(self.block, norm=norm, activation=activation, dtype=self.dtype),
                norm,
                activation,
                join_input=stage > 0,
                root_shortcut=self.root_shortcut,
                dtype=self.dtype,
                name=f"level{stage + 2}",
            )
            maps.append(tree(maps[-1]))
        return tuple(maps)


_C, _WIDE = (16, 32, 64, 64, 128, 256), (16, 32, 128, 256, 512, 1024)
_60, _102 = (1, 2, 3, 1), (1, 3, 4, 1)
_X = {"groups": 32, "group_width": 4}
_ROOT = {"root_shortcut": True}
# Table 1, and the networks of timm.
VARIANTS = {
    "dla34": {
        "depths": (1, 2, 2, 1),
        "widths": (16, 32, 64, 128, 256, 512),
        "bottleneck": False,
    },
    "dla46_c": {"depths": (1, 2, 2, 1), "widths": _C},
    "dla46x_c": {"depths": (1, 2, 2, 1), "widths": _C} | _X,
    "dla60x_c": {"depths": _60, "widths": _C} | _X,
    "dla60": {"depths": _60, "widths": _WIDE},
    "dla60x": {"depths": _60, "widths": _WIDE} | _X,
    "dla102": {"depths": _102, "widths": _WIDE} | _ROOT,
    "dla102x": {"depths": _102, "widths": _WIDE} | _X | _ROOT,
    "dla102x2": {"depths": _102, "widths": _WIDE, "groups": 64, "group_width": 4} | _ROOT,
    "dla169": {"depths": (2, 3, 5, 1), "widths": _WIDE} | _ROOT,
    "dla60_res2net": {"depths": _60, "widths": _WIDE, "scale": 4, "group_width": 28},
    "dla60_res2next": {
        "depths": _60,
        "widths": _WIDE,
        "scale": 4,
        "groups": 8,
        "group_width": 4,
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    depths: Sequence[int],
    widths: Sequence[int],
    bottleneck: bool = True,
    groups: int = 1,
    group_width: int = 64,
    scale: int = 1,
    root_shortcut: bool = False,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    zero_init_residual: bool = False,
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (7x7) or cifar (3x3, no stride).")
    if len(widths) != len(depths) + 2:
        raise UserError(
            f"widths {tuple(widths)} must have one number for the first two convolutions, one for "
            f"the third, and one for each of the {len(depths)} stages of depths."
        )
    if min(depths, default=0) < 1:
        raise UserError(f"depths {tuple(depths)} must be at least one number, each 1 or more.")
    kind, more = DlaBottleneckBlock, {"groups": groups, "group_width": group_width}
    if not bottleneck:
        if (groups, group_width, scale) != (1, 64, 1):
            raise UserError("groups, group_width and scale are options of bottleneck blocks.")
        kind, more = BasicBlock, {}
    elif scale > 1:
        kind, more = DlaRes2NetBlock, more | {"scale": scale}
    check_residual(
        min(widths[2:]) // kind.expansion,
        group_width,
        shortcut="projection",
        zero_init_residual=zero_init_residual,
        norm=norm,
    )
    block = partial(_block, kind, zero_init_residual=zero_init_residual, **more)
    backbone = DLA(depths, widths, block, stem, norm, activation, root_shortcut, dtype)
    # As of ResNet: at 32 pixels the imagenet stem leaves the last of four stages one pixel.
    min_size, hint = 2 ** len(depths), ""
    if stem == "imagenet":
        min_size, hint = 2 * min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)


def _block(kind: type[ResidualBlock], *, features: int, **settings: Any) -> ResidualBlock:
    """Builds a block with that many channels of its output."""
    return kind(features=features // kind.expansion, **settings)
