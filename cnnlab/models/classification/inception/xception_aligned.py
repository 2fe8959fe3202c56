"""Aligned Xception (Chen et al. 2018, "Encoder-decoder with atrous...", arXiv:1802.02611).

Xception in the form of DeepLabV3+ (sec. 3.3, fig. 4): more layers, strided separable convolutions
in place of max pooling, and norms and activations after depthwise convolutions too. `xception41`,
`xception65` and `xception71` are those of the authors' published code, as timm has them; in 41p and
65p, which are timm's, norm and activation stand before each separable convolution, and the shortcut
starts after the first of them. `output_stride` dilates in place of strides. Deviations: none of the
architecture; convolutions start from normal values of variance 2 / fan-out.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.inception.inception_block import scale_channels
from cnnlab.models.classifier import Classifier
from cnnlab.models.dilation import check_output_stride, dilated_blocks
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, Identity, make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.stochastic_depth import drop_path


class AlignedBlock(nn.Module):
    """Three separable convolutions, the last with the stride, and a shortcut (fig. 4).

    Attributes:
      widths: channels of each separable convolution.
      stride: stride of the block.
      dilation: distance of the depthwise kernels' weights.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation between the layers.
      preact: whether norm and activation stand before each separable convolution only.
      shortcut: whether there is one; the last block has none.
      activate_inside: whether activations follow each norm in the separable convolutions, as in the
        last block, instead of standing before them.
      drop_path: builds stochastic depth for the branch; train or eval mode is already bound.
    """

    widths: Sequence[int]
    stride: int
    dilation: int
    norm: Callable[..., nn.Module]
    activation: Activation
    preact: bool
    shortcut: bool
    activate_inside: bool
    drop_path: Callable[[], nn.Module]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps [batch, height, width, c] to the block's map and the input of its last convolution.

        They are [batch, height / stride, width / stride, widths[2]] and [batch, height, width,
        widths[1]].
        """
        inside = self.activation if self.activate_inside else None
        conv = partial(
            ConvNormAct,
            norm=Identity if self.preact else self.norm,
            use_bias=False,
            activation=inside,
            dtype=self.dtype,
        )
        if self.preact:
            x = self.activation(self.norm(name="norm1")(x))
        y = x
        for number, width in enumerate(self.widths, start=1):
            last = number == len(self.widths)
            if not self.preact and not self.activate_inside:
                y = self.activation(y)
            if last:
                before = y
            if self.preact and number > 1:
                y = self.activation(self.norm(name=f"norm{number}")(y))
            y = conv(
                y.shape[-1],
                3,
                self.stride if last else 1,
                dilation=self.dilation,
                groups=y.shape[-1],
                name=f"depthwise{number}",
            )(y)
            y = conv(width, 1, name=f"pointwise{number}")(y)
        if not self.shortcut:
            return y, before
        if y.shape != x.shape:
            x = conv(self.widths[-1], 1, self.stride, activation=None, name="shortcut")(x)
        return x + self.drop_path()(y), before


class AlignedXception(nn.Module):
    """Stem, entry, middle and exit flow (fig. 4).

    Attributes:
      entry: channels and stride of each block of the entry flow.
      middle_blocks: blocks of the middle flow.
      preact: see `AlignedBlock`.
      norm: `batch`, `layer`, `group` or `none`.
      norm_epsilon: epsilon of batch norm.
      activation: activation between the layers.
      width: share of the published channels.
      output_stride: largest stride of a map, beyond which blocks dilate; 0 dilates none.
      dilate_first: whether the block that would stride is dilated as those after it.
      stochastic_depth_rate: probability of dropping the last block's branch in training; the rate
        rises linearly from 0 at the first block.
      final_activation: whether an activation ends the last map where `preact` is set; without, a
        decoder gets it unactivated.
    """

    entry: Sequence[tuple[int, int]]
    middle_blocks: int
    preact: bool = False
    norm: str = "batch"
    norm_epsilon: float = 1e-3
    activation: str = "relu"
    width: float = 1.0
    dtype: jnp.dtype = jnp.float32
    output_stride: int = 0
    dilate_first: bool = False
    stochastic_depth_rate: float = 0.0
    final_activation: bool = True

    @property
    def strides(self) -> tuple[int, ...]:
        strides = [2]
        for _, stride in (*self.entry, (1024, 2)):
            if stride > 1:
                strides.append(strides[-1] * stride)
        return tuple(min(stride, self.output_stride or stride) for stride in strides)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the maps before each stride, and the last.

        Those before a stride are the input of the block's last separable convolution.
        """
        norm = make_norm(self.norm, train=train, dtype=self.dtype, epsilon=self.norm_epsilon)
        activation = make_activation(self.activation)
        conv = partial(ConvNormAct, kernel=3, use_bias=False, dtype=self.dtype)
        x = conv(
            scale_channels(32, self.width), stride=2, norm=norm, activation=activation, name="stem1"
        )(images)
        x = conv(
            scale_channels(64, self.width),
            norm=Identity if self.preact else norm,
            activation=None if self.preact else activation,
            name="stem2",
        )(x)
        rows = [
            *(((channels,) * 3, stride) for channels, stride in self.entry),
            *[((728, 728, 728), 1)] * self.middle_blocks,
            ((728, 1024, 1024), 2),
            ((1536, 1536, 2048), 1),
        ]
        dilated = dilated_blocks(
            [stride for _, stride in rows],
            stem_stride=2,
            output_stride=self.output_stride,
            dilate_first=self.dilate_first,
        )
        maps = []
        for number, ((widths, whole), (stride, dilation)) in enumerate(
            zip(rows, dilated, strict=True), start=1
        ):
            last = number == len(rows)
            rate = self.stochastic_depth_rate * (number - 1) / (len(rows) - 1)
            x, before = AlignedBlock(
                [scale_channels(c, self.width) for c in widths],
                stride,
                dilation,
                norm,
                activation,
                self.preact,
                shortcut=not last,
                activate_inside=last and not self.preact,
                drop_path=drop_path(rate, train=train),
                dtype=self.dtype,
                name=f"block{number}",
            )(x)
            if whole > 1:
                maps.append(before)
        return (*maps, activation(x) if self.preact and self.final_activation else x)


_ENTRY = ((128, 2), (256, 2), (728, 2))

VARIANTS = {
    "xception41": {"entry": _ENTRY, "middle_blocks": 8},
    "xception65": {"entry": _ENTRY, "middle_blocks": 16},
    "xception71": {
        "entry": ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)),
        "middle_blocks": 16,
    },
    "xception41p": {"entry": _ENTRY, "middle_blocks": 8, "preact": True, "norm_epsilon": 1e-5},
    "xception65p": {"entry": _ENTRY, "middle_blocks": 16, "preact": True},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    entry: Sequence[tuple[int, int]],
    middle_blocks: int,
    preact: bool = False,
    norm: str = "batch",
    norm_epsilon: float = 1e-3,
    activation: str = "relu",
    width: float = 1.0,
    output_stride: int = 0,
    dilate_first: bool = False,
    stochastic_depth_rate: float = 0.0,
    final_activation: bool = True,
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    if not entry or any(len(row) != 2 or row[1] not in (1, 2) for row in entry):
        raise UserError(
            f"entry must be pairs of channels and stride 1 or 2, one for each block; got {entry}."
        )
    check_output_stride(output_stride, finest=2, stem="imagenet")
    backbone = AlignedXception(
        entry,
        middle_blocks,
        preact,
        norm,
        norm_epsilon,
        activation,
        width,
        dtype,
        output_stride,
        dilate_first,
        stochastic_depth_rate,
        final_activation,
    )
    # With one position in the last map it would run, and learn little.
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size=33)
