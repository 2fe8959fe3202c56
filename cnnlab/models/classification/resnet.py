"""ResNet (He et al. 2015, "Deep residual learning for image recognition", arXiv:1512.03385).

- `resnet18` to `resnet152`: table 1 of the paper; and `resnet18_d2l`, as in "Dive into Deep
  Learning" (d2l.ai), sec. 8.6: convolutions with biases, shortcuts without norm.
- `resnext*`: the 3x3 convolution in groups (Xie et al. 2016, arXiv:1611.05431).
- `wide_resnet*`: a 3x3 convolution twice as wide (Zagoruyko & Komodakis 2016, arXiv:1605.07146).
- `seresnet*`, `seresnext*`: each branch ends in squeeze-and-excitation (Hu et al. 2017,
  arXiv:1709.01507), as in timm, with at least 8 channels between its layers.
- `resnet*d`, `resnext*d_*`: a stem of three 3x3 convolutions, and shortcuts that average 2x2 pixels
  where they stride (He et al. 2018, "Bag of tricks for image classification with convolutional
  neural networks", arXiv:1812.01187, sec. 4.2, ResNet-D). `*t` has narrower first convolutions in
  the stem (24 and 32 channels of 64), as in timm.
- `ecaresnet*`: each branch ends in efficient channel attention (Wang et al. 2019,
  arXiv:1910.03151), on the networks of timm.

Deviations: the stride of a bottleneck sits in its 3x3 convolution ("v1.5", as in torchvision, and
one of the changes that make a ResNet-D); `stride_on=1x1` puts it into the first 1x1, as in the
paper. Shortcuts that change shape are projections (option B);
`cnnlab.models.classification.cifar_resnet` has option A. The paper starts each norm with scale 1;
`zero_init_residual` starts the last of each block with 0 (Goyal et al. 2017, arXiv:1706.02677, sec.
5.1).

For segmentation, `output_stride=8` or 16 keeps the maps of later stages at that stride: a
convolution that would stride does not, and those after it are dilated instead (Chen et al. 2017,
arXiv:1706.05587, sec. 3.1). With the same weights, every second position of such a map is the map
of the network that strides; so the window of an averaging shortcut dilates too, which timm's does
not. `dilate_first` dilates the convolution that would stride as well, which
segmentation_models_pytorch does.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.dilation import check_output_stride
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import he_init
from cnnlab.nn.efficient_channel_attention import EfficientChannelAttention
from cnnlab.nn.pool import avg_pool_ceil, max_pool, max_pool_ceil
from cnnlab.nn.resnet_stem import POOLED_STEMS, apply_stem, check_stem, stage_strides
from cnnlab.nn.squeeze_excite import SqueezeExcite
from cnnlab.nn.stochastic_depth import stochastic_depth


class ResidualBlock(nn.Module):
    """Base of both kinds of block: layers with the block's settings, and the shortcut.

    Attributes:
      features: channels of the block's 3x3 convolutions; its output has `expansion` times as many.
      stride: stride of one of its convolutions and of the shortcut.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after each norm but the last, and after the sum.
      groups: number of groups of the 3x3 convolution of a bottleneck.
      group_width: channels of each group at 64 features, scaled with the features.
      stride_on: convolution of a bottleneck that has the stride, `3x3` or `1x1`.
      squeeze: reduction of the squeeze-and-excitation's channels; 0 omits it.
      channel_attention: whether the branch ends in efficient channel attention.
      shortcut: where the shape changes, `projection` (1x1 convolution), `pooled` (the same after
        the mean of 2x2 pixels, which has the stride) or `pad` (zero channels).
      shortcut_norm: whether a norm follows the projection.
      use_bias: whether the convolutions have biases.
      zero_init_residual: whether the block starts as the identity.
      dilation: dilation of the 3x3 convolutions after the one that has the stride.
      first_dilation: dilation of that convolution, if it is 3x3.
      drop_path: builds stochastic depth for the branch; None drops nothing.
    """

    features: int
    stride: int
    norm: Callable[..., nn.Module]
    activation: Activation
    groups: int = 1
    group_width: int = 64
    stride_on: str = "3x3"
    squeeze: int = 0
    channel_attention: bool = False
    shortcut: str = "projection"
    shortcut_norm: bool = True
    use_bias: bool = False
    zero_init_residual: bool = False
    dtype: jnp.dtype = jnp.float32
    dilation: int = 1
    first_dilation: int = 1
    drop_path: Callable[[], nn.Module] | None = None

    expansion = 1

    def conv(
        self,
        features: int,
        kernel: int,
        name: str,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
    ) -> nn.Module:
        """Returns a convolution that keeps the size at stride 1."""
        return Conv(
            features,
            (kernel, kernel),
            stride,
            padding=dilation * (kernel // 2),
            kernel_dilation=dilation,
            feature_group_count=groups,
            use_bias=self.use_bias,
            kernel_init=he_init,
            dtype=self.dtype,
            name=name,
        )

    def last_norm(self, name: str) -> nn.Module:
        """Returns the norm before the sum."""
        # Only a norm with a scale can start at zero: with norm="none" there is none to set.
        zero = {"scale_init": nn.initializers.zeros_init()} if self.zero_init_residual else {}
        return self.norm(name=name, **zero)

    def add_shortcut(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Adds the block's input `x`, projected to the shape of its branch `y`, to the branch."""
        if self.squeeze:
            hidden = max(8, y.shape[-1] // self.squeeze)
            y = SqueezeExcite(hidden, dtype=self.dtype, name="squeeze_excite")(y)
        if self.channel_attention:
            y = EfficientChannelAttention(dtype=self.dtype, name="channel_attention")(y)
        if y.shape != x.shape:
            if self.shortcut == "pad":
                missing = y.shape[-1] - x.shape[-1]
                x = x[:, :: self.stride, :: self.stride]
                x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, missing)))
            else:
                stride = self.stride
                if self.shortcut == "pooled":
                    if stride > 1 or self.dilation > 1:
                        x = avg_pool_ceil(x, 2, stride, dilation=self.first_dilation)
                    stride = 1
                x = self.conv(y.shape[-1], 1, "shortcut_conv", stride)(x)
                x = self.norm(name="shortcut_norm")(x) if self.shortcut_norm else x
        if self.drop_path is not None:
            y = self.drop_path()(y)
        return self.activation(x + y)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions and a shortcut (arXiv:1512.03385, fig. 5 left)."""

    @nn.compact
    def __call__(self, x: jax.Array, identity: jax.Array | None = None) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features].

        Args:
          x: the map.
          identity: map to add to the branch, in place of `x`.
        """
        y = self.conv(self.features, 3, "conv1", self.stride, dilation=self.first_dilation)(x)
        y = self.activation(self.norm(name="norm1")(y))
        y = self.conv(self.features, 3, "conv2", dilation=self.dilation)(y)
        return self.add_shortcut(x if identity is None else identity, self.last_norm("norm2")(y))


class BottleneckBlock(ResidualBlock):
    """1x1, 3x3 and 1x1 convolution and a shortcut (arXiv:1512.03385, fig. 5 right)."""

    expansion = 4

    @nn.compact
    def __call__(self, x: jax.Array, identity: jax.Array | None = None) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height/stride, width/stride, 4 * features].

        Args:
          x: the map.
          identity: map to add to the branch, in place of `x`.
        """
        inner = self.features * self.group_width // 64 * self.groups
        first, second, dilation = 1, self.stride, self.first_dilation
        if self.stride_on == "1x1":
            first, second, dilation = self.stride, 1, self.dilation
        y = self.conv(inner, 1, "conv1", first)(x)
        y = self.activation(self.norm(name="norm1")(y))
        y = self.conv(inner, 3, "conv2", second, self.groups, dilation)(y)
        y = self.activation(self.norm(name="norm2")(y))
        y = self.conv(self.expansion * self.features, 1, "conv3")(y)
        return self.add_shortcut(x if identity is None else identity, self.last_norm("norm3")(y))


class ResNet(nn.Module):
    """Stem and stages of residual blocks.

    Attributes:
      stage_sizes: blocks in each stage.
      block: builds a block from `features`, `stride`, `norm`, `activation`, `dtype` and `name`.
      stem: `imagenet` (7x7 stride 2, then 3x3 max pooling stride 2), `deep` or `tiered` (three 3x3
        convolutions, the first with stride 2, then the same pooling), or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation between the layers.
      width: features of the first stage; each later one has twice as many.
      use_bias: whether the stem's convolution has a bias.
      output_stride: largest stride of a map, beyond which stages dilate; 0 dilates none.
      dilate_first: whether the convolution that would stride is dilated as those after it.
      stochastic_depth_rate: share of examples for which training drops the last block's branch
        (Huang et al. 2016, arXiv:1603.09382, sec. 3). Of L blocks, block l = 1..L has the rate
        l / L times that.
      ceil_pool: whether the stem's pooling is not padded and keeps a last partial window,
        as in the Caffe networks of Hu et al. 2018, arXiv:1709.01507.
      stem_width: channels of the stem; None for `width`.
    """

    stage_sizes: Sequence[int]
    block: Callable[..., nn.Module]
    stem: str = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    width: int = 64
    use_bias: bool = False
    dtype: jnp.dtype = jnp.float32
    output_stride: int = 0
    dilate_first: bool = False
    stochastic_depth_rate: float = 0.0
    ceil_pool: bool = False
    stem_width: int | None = None

    @property
    def strides(self) -> tuple[int, ...]:
        strides = stage_strides(self.stem, len(self.stage_sizes))
        return tuple(min(stride, self.output_stride or stride) for stride in strides)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the maps that `strides` names.

        With a stem that pools the first is the stem's before pooling; the others are the stages'.
        """
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        x = apply_stem(
            images,
            self.stem,
            self.stem_width or self.width,
            norm=norm,
            activation=activation,
            use_bias=self.use_bias,
            dtype=self.dtype,
        )
        maps = []
        if self.stem in POOLED_STEMS:
            maps.append(x)
            padded = ((1, 1), (1, 1))
            x = max_pool_ceil(x, 3, 2) if self.ceil_pool else max_pool(x, (3, 3), (2, 2), padded)
        stage_maps = self.strides[len(maps) :]
        dilation, blocks_so_far = 1, 0
        for stage, size in enumerate(self.stage_sizes, start=1):
            before, stride = dilation, 1
            if stage > 1:
                stride = stage_maps[stage - 1] // stage_maps[stage - 2]
                dilation *= 2 // stride
            for number in range(1, size + 1):
                first = number == 1
                blocks_so_far += 1
                drop_path = stochastic_depth(
                    self.stochastic_depth_rate,
                    block=blocks_so_far,
                    blocks=sum(self.stage_sizes),
                    train=train,
                )
                x = self.block(
                    features=self.width * 2 ** (stage - 1),
                    stride=stride if first else 1,
                    norm=norm,
                    activation=activation,
                    dtype=self.dtype,
                    dilation=dilation,
                    first_dilation=before if first and not self.dilate_first else dilation,
                    name=f"stage{stage}_block{number}",
                    drop_path=drop_path if self.stochastic_depth_rate else None,
                )(x)
            maps.append(x)
        return tuple(maps)


_BASIC = {"bottleneck": False}
_RESNEXT = {"groups": 32, "group_width": 4}
_D = {"stem": "deep", "shortcut": "pooled"}
_T = {"stem": "tiered", "shortcut": "pooled"}
_SE, _ECA = {"squeeze": 16}, {"channel_attention": True}
_DEPTHS = {
    "18": _BASIC | {"stage_sizes": (2, 2, 2, 2)},
    "34": _BASIC | {"stage_sizes": (3, 4, 6, 3)},
    "50": {"stage_sizes": (3, 4, 6, 3)},
    "101": {"stage_sizes": (3, 4, 23, 3)},
    "152": {"stage_sizes": (3, 8, 36, 3)},
}
_SIZES = _DEPTHS | {
    "10": _BASIC | {"stage_sizes": (1, 1, 1, 1)},
    "14": {"stage_sizes": (1, 1, 1, 1)},
    "26": {"stage_sizes": (2, 2, 2, 2)},
    "200": {"stage_sizes": (3, 24, 36, 3)},
    "269": {"stage_sizes": (3, 30, 48, 8)},
}
_X32X8, _X64X4 = {"groups": 32, "group_width": 8}, {"groups": 64, "group_width": 4}
VARIANTS = {
    **{f"resnet{depth}": size for depth, size in _DEPTHS.items()},
    "resnet18_d2l": _SIZES["18"] | {"use_bias": True, "shortcut_norm": False},
    "resnext50_32x4d": _SIZES["50"] | _RESNEXT,
    "resnext101_32x8d": _SIZES["101"] | _X32X8,
    "resnext101_64x4d": _SIZES["101"] | _X64X4,
    "wide_resnet50_2": _SIZES["50"] | {"group_width": 128},
    "wide_resnet101_2": _SIZES["101"] | {"group_width": 128},
    **{f"seresnet{depth}": size | _SE for depth, size in _DEPTHS.items()},
    "seresnext50_32x4d": _SIZES["50"] | _RESNEXT | _SE,
    "resnet26": _SIZES["26"],
    **{
        f"resnet{depth}d": _SIZES[depth] | _D
        for depth in ("18", "26", "34", "50", "101", "152", "200")
    },
    **{f"resnet{depth}t": _SIZES[depth] | _T for depth in ("10", "14", "26", "50")},
    "resnext50d_32x4d": _SIZES["50"] | _RESNEXT | _D,
    "resnext101_32x4d": _SIZES["101"] | _RESNEXT,
    "seresnet152d": _SIZES["152"] | _D | _SE,
    "seresnext26d_32x4d": _SIZES["26"] | _RESNEXT | _D | _SE,
    "seresnext26t_32x4d": _SIZES["26"] | _RESNEXT | _T | _SE,
    "seresnext101_32x4d": _SIZES["101"] | _RESNEXT | _SE,
    "seresnext101_32x8d": _SIZES["101"] | _X32X8 | _SE,
    "seresnext101_64x4d": _SIZES["101"] | _X64X4 | _SE,
    "seresnext101d_32x8d": _SIZES["101"] | _X32X8 | _D | _SE,
    "ecaresnet26t": _SIZES["26"] | _T | _ECA,
    "ecaresnet50t": _SIZES["50"] | _T | _ECA,
    **{f"ecaresnet{depth}d": _SIZES[depth] | _D | _ECA for depth in ("50", "101", "200", "269")},
    "ecaresnetlight": {"stage_sizes": (1, 1, 11, 3), "shortcut": "pooled"} | _ECA,
}


def check_residual(
    width: int, group_width: int, *, shortcut: str, zero_init_residual: bool, norm: str
) -> None:
    """Raises a `UserError` if residual blocks cannot have these settings.

    Args:
      width: features of the first stage.
      group_width: channels of each group at 64 features.
      shortcut: `projection` or `pooled`.
      zero_init_residual: whether each block starts as the identity.
      norm: name of the norm.
    """
    if width * group_width < 64:
        raise UserError(
            f"width={width} leaves no channel to a group that has group_width={group_width} at "
            f"width=64: set width={-(-64 // group_width)} or more."
        )
    if zero_init_residual and norm == "none":
        raise UserError("zero_init_residual needs a norm to set to zero, and norm is none.")
    if shortcut not in ("projection", "pooled"):
        raise UserError(
            f"shortcut='{shortcut}' must be projection (1x1 convolution) or pooled (the same after "
            "2x2 average pooling)."
        )


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    bottleneck: bool = True,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    zero_init_residual: bool = False,
    width: int = 64,
    groups: int = 1,
    group_width: int = 64,
    stride_on: str = "3x3",
    squeeze: int = 0,
    channel_attention: bool = False,
    shortcut: str = "projection",
    use_bias: bool = False,
    shortcut_norm: bool = True,
    dropout_rate: float = 0.0,
    output_stride: int = 0,
    dilate_first: bool = False,
    stochastic_depth_rate: float = 0.0,
    ceil_pool: bool = False,
) -> Classifier:
    """Builds the network."""
    min_size, hint = check_stem(stem)
    check_output_stride(output_stride, finest=stage_strides(stem, 1)[-1], stem=stem)
    if stride_on not in ("3x3", "1x1"):
        raise UserError(f"stride_on='{stride_on}' must be 3x3 (v1.5) or 1x1 (v1).")
    if not bottleneck and (groups, group_width, stride_on) != (1, 64, "3x3"):
        raise UserError("groups, group_width and stride_on are options of bottleneck blocks.")
    check_residual(
        width, group_width, shortcut=shortcut, zero_init_residual=zero_init_residual, norm=norm
    )
    block = partial(
        BottleneckBlock if bottleneck else BasicBlock,
        groups=groups,
        group_width=group_width,
        stride_on=stride_on,
        squeeze=squeeze,
        channel_attention=channel_attention,
        shortcut=shortcut,
        use_bias=use_bias,
        shortcut_norm=shortcut_norm,
        zero_init_residual=zero_init_residual,
    )
    backbone = ResNet(
        stage_sizes,
        block,
        stem,
        norm,
        activation,
        width,
        use_bias,
        dtype,
        output_stride,
        dilate_first,
        stochastic_depth_rate,
        ceil_pool,
    )
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
