"""RepVGG (Ding et al. 2021, "RepVGG: making VGG-style ConvNets great again", arXiv:2101.03697).

Each block is trained as the sum of a 3x3 convolution, a 1x1 convolution and, where the shape stays,
the identity, each with a norm; `merge_branches` turns the trained weights into those of a plain
network of 3x3 convolutions with the same logits, which the option `plain` builds:

    plain = create_model("repvgg_a0", num_classes=10, plain=True)
    logits = plain.apply(merge_branches(variables), images, train=False)

Networks of table 2; in `g4` every second 3x3 and 1x1 convolution has four groups (sec. 3.4).
Deviations: none of the architecture; norms start with scale 1 and bias 0.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.arrays import PyTree
from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct, he_init

_EPSILON = 1e-5


class RepVGGBlock(nn.Module):
    """The sum of a 3x3 convolution, a 1x1 convolution and the identity (fig. 2b), or one 3x3.

    Attributes:
      features: channels of the output.
      stride: stride of the convolutions.
      groups: number of channel groups of the convolutions.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after the sum.
      plain: whether the block is one 3x3 convolution with a bias (fig. 2c).
    """

    features: int
    stride: int
    groups: int
    norm: Callable[..., nn.Module]
    activation: Activation
    plain: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        if self.plain:
            y = Conv(
                self.features,
                (3, 3),
                self.stride,
                padding=1,
                feature_group_count=self.groups,
                kernel_init=he_init,
                dtype=self.dtype,
                name="conv",
            )(x)
            return self.activation(y)
        branch = partial(
            ConvNormAct,
            self.features,
            stride=self.stride,
            groups=self.groups,
            norm=self.norm,
            activation=None,
            use_bias=False,
            dtype=self.dtype,
        )
        y = branch(3, name="conv3x3")(x) + branch(1, name="conv1x1")(x)
        if y.shape == x.shape:
            y = y + self.norm(name="identity")(x)
        return self.activation(y)


class RepVGG(nn.Module):
    """A first block and stages of `RepVGGBlock`, each of which halves the map in its first block.

    Attributes:
      stage_sizes: blocks in each stage.
      widths: channels of the first block and of each stage.
      groups: number of channel groups in every second block after the first.
      stem: `imagenet` (first block with stride 2) or `cifar` (stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each block.
      plain: whether blocks are single 3x3 convolutions.
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int]
    groups: int = 1
    stem: str = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    plain: bool = False
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        stem = 2 if self.stem == "imagenet" else 1
        return tuple(stem * 2**stage for stage in range(len(self.stage_sizes) + 1))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the maps of the first block and each stage."""
        block = partial(
            RepVGGBlock,
            norm=make_norm(self.norm, train=train, dtype=self.dtype, epsilon=_EPSILON),
            activation=make_activation(self.activation),
            plain=self.plain,
            dtype=self.dtype,
        )
        x = block(self.widths[0], 2 if self.stem == "imagenet" else 1, 1, name="stem")(images)
        maps = [x]
        blocks_so_far = 0
        stages = zip(self.stage_sizes, self.widths[1:], strict=True)
        for stage, (size, width) in enumerate(stages, start=1):
            for number in range(1, size + 1):
                blocks_so_far += 1
                x = block(
                    width,
                    2 if number == 1 else 1,
                    self.groups if blocks_so_far % 2 == 0 else 1,
                    name=f"stage{stage}_block{number}",
                )(x)
            maps.append(x)
        return tuple(maps)


def merge_branches(variables: Mapping[str, Any]) -> PyTree:
    """Merges the branches of each block into one 3x3 convolution (sec. 3.3).

    The result is for the same network with `plain=True`. Its logits are those of `variables` in
    evaluation, up to rounding; trained further, it would be another network.

    Args:
      variables: variables of a RepVGG with batch norm, `params` and `batch_stats`.

    Returns:
      `params` of the plain network, in float32.

    Raises:
      UserError: these are not variables of a RepVGG with its branches and batch norm.
    """
    params = variables.get("params", {})
    blocks, stats = params.get("backbone", {}), variables.get("batch_stats", {}).get("backbone", {})
    if not blocks or any("conv3x3" not in block for block in blocks.values()) or not stats:
        raise UserError(
            "merge_branches takes the variables, params and batch_stats, of a RepVGG with "
            "norm=batch and plain=False, and these are others: pass those that were trained."
        )
    merged = {name: {"conv": _merged(block, stats[name])} for name, block in blocks.items()}
    return {"params": {"backbone": merged, "head": params["head"]}}


def _merged(block: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The kernel and bias of one block's sum."""
    wide = np.asarray(block["conv3x3"]["conv"]["kernel"], np.float64)
    kernel, bias = _scaled(wide, block["conv3x3"]["norm"], stats["conv3x3"]["norm"])
    point = np.zeros_like(wide)
    point[1, 1] = block["conv1x1"]["conv"]["kernel"][0, 0]
    branches = [(point, block["conv1x1"]["norm"], stats["conv1x1"]["norm"])]
    if "identity" in block:
        same = np.zeros_like(wide)
        inputs, outputs = wide.shape[2:]
        # Of groups, a kernel's input channels are counted inside the group.
        same[1, 1, np.arange(outputs) % inputs, np.arange(outputs)] = 1.0
        branches.append((same, block["identity"], stats["identity"]))
    for branch in branches:
        more_kernel, more_bias = _scaled(*branch)
        kernel, bias = kernel + more_kernel, bias + more_bias
    return {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}


def _scaled(
    kernel: np.ndarray, norm: Mapping[str, Any], stats: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """A convolution's kernel and bias after which no batch norm is needed."""
    scale, bias, mean, var = (
        np.asarray(array, np.float64)
        for array in (norm["scale"], norm["bias"], stats["mean"], stats["var"])
    )
    factor = scale / np.sqrt(var + _EPSILON)
    return kernel * factor, bias - mean * factor


_A, _B = (2, 4, 14, 1), (4, 6, 16, 1)
# Blocks and widths of table 2.
_SIZES = {
    "a0": (_A, (48, 48, 96, 192, 1280)),
    "a1": (_A, (64, 64, 128, 256, 1280)),
    "a2": (_A, (64, 96, 192, 384, 1408)),
    "b0": (_B, (64, 64, 128, 256, 1280)),
    "b1": (_B, (64, 128, 256, 512, 2048)),
    "b2": (_B, (64, 160, 320, 640, 2560)),
    "b3": (_B, (64, 192, 384, 768, 2560)),
}
VARIANTS = {
    **{f"repvgg_{n}": {"stage_sizes": s, "widths": w} for n, (s, w) in _SIZES.items()},
    **{
        f"repvgg_{name}g4": dict(zip(("stage_sizes", "widths"), _SIZES[name], strict=True))
        | {"groups": 4}
        for name in ("b1", "b2", "b3")
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    widths: Sequence[int],
    groups: int = 1,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    plain: bool = False,
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (stride 2) or cifar (stride 1).")
    if len(widths) != len(stage_sizes) + 1:
        raise UserError(
            f"widths {tuple(widths)} must have one number for the first block and one for each of "
            f"the {len(stage_sizes)} stages of stage_sizes."
        )
    if any(width % groups for width in widths):
        raise UserError(
            f"widths {tuple(widths)} must be multiples of groups={groups}: change either."
        )
    backbone = RepVGG(stage_sizes, widths, groups, stem, norm, activation, plain, dtype)
    # As of ResNet: at 32 pixels the imagenet stem leaves the last of four stages one pixel.
    min_size, hint = 2 ** len(stage_sizes), ""
    if stem == "imagenet":
        min_size, hint = 2 * min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
