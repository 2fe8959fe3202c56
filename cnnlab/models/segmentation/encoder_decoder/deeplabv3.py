"""DeepLabV3 (Chen et al. 2017, "Rethinking atrous convolution for...", arXiv:1706.05587).

Atrous spatial pyramid pooling, of 1x1, of three dilated 3x3 convolutions and of the average of the
whole map side by side (fig. 5), on a ResNet that dilates instead of its last strides.

By default as in torchvision (`deeplabv3_resnet50`): rates 12, 24 and 36 for a map with an eighth of
the image's size, one more 3x3 convolution before the logits, an auxiliary head on the stage before
the last (an option; weight 0.5 in torchvision's recipe). Deviations from the paper: no multi-grid
rates in the last stage. segmentation_models_pytorch 0.6.0 has the same with `dilate_first=True` and
`align_corners=True`. Any classifier may be the encoder; one that cannot dilate keeps its strides.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.dilated_fcn import (
    AUX_WEIGHT,
    ScoreHead,
    sow_auxiliary,
)
from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.resize import resize_bilinear


class SeparableConv(nn.Module):
    """A 3x3 convolution of each channel, a 1x1 convolution of all, then norm and activation.

    Attributes:
      features: channels of the output.
      norm: builds a normalization layer.
      activation: activation after the norm.
      dilation: dilation of the 3x3 convolution.
    """

    features: int
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    dilation: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        x = ConvNormAct(
            x.shape[-1],
            dilation=self.dilation,
            groups=x.shape[-1],
            activation=None,
            use_bias=False,
            dtype=self.dtype,
            name="depthwise",
        )(x)
        return ConvNormAct(
            self.features,
            1,
            norm=self.norm,
            activation=self.activation,
            use_bias=False,
            dtype=self.dtype,
            name="pointwise",
        )(x)


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling with image-level features (sec. 3.3).

    Attributes:
      features: channels of each branch and of the output.
      rates: dilations of the three branches.
      norm: builds a normalization layer.
      activation: activation after each norm.
      separable: whether the dilated branches are `SeparableConv`.
      dropout_rate: dropout rate of the output.
    """

    features: int
    rates: Sequence[int]
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    separable: bool = False
    dropout_rate: float = 0.5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        shared = {"norm": self.norm, "activation": self.activation, "dtype": self.dtype}
        conv = partial(ConvNormAct, self.features, 1, use_bias=False, **shared)
        branches = [conv(name="branch1")(x)]
        for number, rate in enumerate(self.rates, start=2):
            if self.separable:
                branch = partial(SeparableConv, self.features, **shared)
            else:
                branch = partial(ConvNormAct, self.features, use_bias=False, **shared)
            branches.append(branch(dilation=rate, name=f"branch{number}")(x))
        pooled = conv(name="pooled")(x.mean(axis=(1, 2), keepdims=True))
        branches.append(jnp.broadcast_to(pooled, branches[0].shape))
        x = conv(name="project")(jnp.concatenate(branches, axis=-1))
        return Dropout(self.dropout_rate, deterministic=not train)(x)


class DeepLabV3Head(nn.Module):
    """`AtrousPyramid` on the last map, a 3x3 convolution, the logits; an auxiliary head.

    Attributes:
      num_classes: channels of the logits.
      width: channels of the pyramid.
      rates: dilations of the pyramid.
      aux: whether there is an auxiliary head, on the last map but one.
      align_corners: whether the last interpolation aligns the centers of corner pixels.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
      dropout_rate: dropout rate after the pyramid.
    """

    num_classes: int
    width: int = 256
    rates: Sequence[int] = (12, 24, 36)
    aux: bool = False
    align_corners: bool = False
    norm: str = "batch"
    activation: str = "relu"
    dropout_rate: float = 0.5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        if self.aux:
            head = ScoreHead(self.num_classes, norm, activation, dtype=self.dtype, name="aux")
            sow_auxiliary(self, head, features[-2], images, train=train)
        x = AtrousPyramid(
            self.width,
            self.rates,
            norm,
            activation,
            dropout_rate=self.dropout_rate,
            dtype=self.dtype,
            name="pyramid",
        )(features[-1], train=train)
        x = ConvNormAct(
            self.width,
            norm=norm,
            activation=activation,
            use_bias=False,
            dtype=self.dtype,
            name="conv",
        )(x)
        x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)
        return resize_bilinear(
            x.astype(jnp.float32), images.shape[1:3], align_corners=self.align_corners
        )


VARIANTS = {"deeplabv3": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet50",
    encoder_options: Mapping[str, Any] | None = None,
    output_stride: int = 8,
    dilate_first: bool = False,
    width: int = 256,
    rates: Sequence[int] = (12, 24, 36),
    aux: bool = False,
    align_corners: bool = False,
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.5,
) -> Segmenter:
    """Builds the network; `output_stride` and `dilate_first` need an encoder that can dilate."""
    network = make_encoder(
        encoder, encoder_options, dtype, output_stride=output_stride, dilate_first=dilate_first
    )
    head = DeepLabV3Head(
        num_classes, width, rates, aux, align_corners, norm, activation, dropout_rate, dtype
    )
    return segment_with(network, head, aux_weight=AUX_WEIGHT)
