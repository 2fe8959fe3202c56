"""HRNet (Wang et al. 2019, arXiv:1908.07919).

As in "Deep high-resolution representation learning for visual recognition", branches of strides 4,
8, 16 and 32 run side by side (sec. 3.1) and exchange their maps after every few blocks (sec. 3.2);
each stage adds a branch. The number in a name is the channels of the finest branch, but for
`hrnet_w18_small`, which has 16; each coarser branch has twice as many as the one before.

The backbone's maps are those of the stem, at stride 2, and of the branches, each after a bottleneck
block, as timm gives them to decoders. The head joins them for classification (appendix on ImageNet
classification).

Deviations: `hrnet_w18_small` and `hrnet_w18_small_v2` are smaller networks of the authors' code; in
`*_ssld` the head's convolutions have no biases, as in timm (Cui et al. 2021, "Beyond
self-supervision: a simple yet effective network distillation alternative to improve backbones",
arXiv:2103.05959). Coarse maps are resized to the size of the fine ones, so images of any size fit;
timm and the authors' code take multiples of 32 only. `stem=cifar` is ours: its two convolutions do
not stride.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.resnet import BasicBlock, BottleneckBlock
from cnnlab.models.classifier import Classifier
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.resize import resize_nearest


class ExchangeModule(nn.Module):
    """Residual blocks on each branch, then the exchange of all maps (sec. 3.2, fig. 3).

    Attributes:
      widths: channels of the branches, fine to coarse.
      blocks: residual blocks of each branch.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after each layer and sum.
    """

    widths: Sequence[int]
    blocks: int
    norm: Callable[..., nn.Module]
    activation: Activation
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, maps: Sequence[jax.Array]) -> list[jax.Array]:
        """Maps the branches' [batch, height, width, c], fine to coarse, to the same shapes."""
        maps = list(maps)
        for branch, width in enumerate(self.widths):
            for number in range(1, self.blocks + 1):
                maps[branch] = BasicBlock(
                    width,
                    1,
                    self.norm,
                    self.activation,
                    dtype=self.dtype,
                    name=f"branch{branch + 1}_block{number}",
                )(maps[branch])
        exchanged = []
        for target in range(len(maps)):
            first, *others = (self._resample(maps, source, target) for source in range(len(maps)))
            exchanged.append(self.activation(sum(others, start=first)))
        return exchanged

    def _resample(self, maps: Sequence[jax.Array], source: int, target: int) -> jax.Array:
        """Brings a branch's map to the shape of another's."""
        conv = partial(ConvNormAct, norm=self.norm, use_bias=False, dtype=self.dtype)
        x, name = maps[source], f"branch{source + 1}_to_branch{target + 1}"
        if source > target:
            x = conv(self.widths[target], 1, activation=None, name=name)(x)
            return resize_nearest(x, maps[target].shape[1:3])
        for step in range(1, target - source + 1):
            last = step == target - source
            x = conv(
                self.widths[target if last else source],
                stride=2,
                activation=None if last else self.activation,
                name=f"{name}_{step}",
            )(x)
        return x


class HRNet(nn.Module):
    """A stem, a stage of bottleneck blocks, and stages of exchange modules with ever more branches.

    Attributes:
      stage_sizes: bottleneck blocks of the first stage, and exchange modules of each later one.
      width: channels of the finest branch.
      branch_blocks: residual blocks of each branch in an exchange module.
      first_width: features of the first stage's bottleneck blocks.
      stem_width: channels of the stem's convolutions.
      head_width: features of the bottleneck block after the finest branch; after a coarser one it
        has twice as many as after the one before.
      stem: `imagenet` (both convolutions have stride 2) or `cifar` (both have stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation between the layers.
    """

    stage_sizes: Sequence[int]
    width: int
    branch_blocks: int = 4
    first_width: int = 64
    stem_width: int = 64
    head_width: int = 32
    stem: str = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        stem, finest = (2, 4) if self.stem == "imagenet" else (1, 1)
        return (stem, *(finest * 2**branch for branch in range(len(self.stage_sizes))))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the stem's map and the branches'."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        conv = partial(
            ConvNormAct, norm=norm, activation=activation, use_bias=False, dtype=self.dtype
        )
        bottleneck = partial(
            BottleneckBlock, stride=1, norm=norm, activation=activation, dtype=self.dtype
        )
        stride = 2 if self.stem == "imagenet" else 1
        stem = conv(self.stem_width, stride=stride, name="stem1")(images)
        x = conv(self.stem_width, stride=stride, name="stem2")(stem)
        for number in range(1, self.stage_sizes[0] + 1):
            x = bottleneck(self.first_width, name=f"stage1_block{number}")(x)
        maps = [x]
        for stage, modules in enumerate(self.stage_sizes[1:], start=2):
            widths = [self.width * 2**branch for branch in range(stage)]
            finest, coarsest = maps[0], maps[-1]
            if finest.shape[-1] != widths[0]:
                maps[0] = conv(widths[0], name=f"transition{stage - 1}_branch1")(finest)
            new = conv(widths[-1], stride=2, name=f"transition{stage - 1}_branch{stage}")
            maps.append(new(coarsest))
            for number in range(1, modules + 1):
                maps = ExchangeModule(
                    widths,
                    self.branch_blocks,
                    norm,
                    activation,
                    self.dtype,
                    name=f"stage{stage}_module{number}",
                )(maps)
        widened = (
            bottleneck(self.head_width * 2**branch, name=f"branch{branch + 1}_block")(x)
            for branch, x in enumerate(maps)
        )
        return (stem, *widened)


class HRNetHead(nn.Module):
    """Joins the branches from fine to coarse, widens, averages, and scores the classes.

    Attributes:
      num_classes: width of the logits.
      features: channels before the average.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation between the layers.
      use_bias: whether the convolutions have biases.
      dropout_rate: share of the pooled features that training sets to zero.
    """

    num_classes: int
    features: int = 2048
    norm: str = "batch"
    activation: str = "relu"
    use_bias: bool = True
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the first the stem's, to logits [batch, num_classes]."""
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=make_activation(self.activation),
            use_bias=self.use_bias,
            dtype=self.dtype,
        )
        _, x, *coarser = features
        for number, y in enumerate(coarser, start=1):
            x = y + conv(y.shape[-1], stride=2, name=f"downsample{number}")(x)
        x = conv(self.features, 1, name="widen")(x).mean(axis=(1, 2))
        x = Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="logits")(x)


_SIZES = {"stage_sizes": (4, 1, 4, 3)}
_SMALL = {"branch_blocks": 2}
VARIANTS = {
    "hrnet_w18_small": _SMALL | {"stage_sizes": (1, 1, 1, 1), "width": 16, "first_width": 32},
    "hrnet_w18_small_v2": _SMALL | {"stage_sizes": (2, 1, 3, 2), "width": 18},
    **{f"hrnet_w{width}": _SIZES | {"width": width} for width in (18, 30, 32, 40, 44, 48, 64)},
    **{f"hrnet_w{width}_ssld": _SIZES | {"width": width, "head_bias": False} for width in (18, 48)},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    width: int,
    branch_blocks: int = 4,
    first_width: int = 64,
    stem_width: int = 64,
    head_width: int = 32,
    head_features: int = 2048,
    head_bias: bool = True,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(
            f"Unknown stem '{stem}': choose imagenet (two of 3x3/2) or cifar (two of 3x3/1)."
        )
    if min(stage_sizes, default=0) < 1:
        raise UserError(
            f"stage_sizes {tuple(stage_sizes)} must be at least one number, each 1 or more."
        )
    backbone = HRNet(
        stage_sizes,
        width,
        branch_blocks,
        first_width,
        stem_width,
        head_width,
        stem,
        norm,
        activation,
        dtype,
    )
    head = HRNetHead(num_classes, head_features, norm, activation, head_bias, dropout_rate, dtype)
    # As of ResNet: at 32 pixels the imagenet stem leaves the last of four branches one pixel.
    min_size, hint = 2 ** (len(stage_sizes) - 1), ""
    if stem == "imagenet":
        min_size, hint = 4 * min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
