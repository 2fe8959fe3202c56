"""PAN (Li et al. 2018, "Pyramid attention network for semantic segmentation", arXiv:1805.10180).

Feature pyramid attention weights the coarsest map by a small U of one-channel maps (fig. 3); global
attention upsampling lets each coarser map weight the channels of the next finer one (fig. 4). As in
segmentation_models_pytorch 0.6.0: interpolation with fixed corners, and logits of a 3x3
convolution; by default the encoder dilates, so that its last map has a 16th of the image's
size. Any classifier may be the encoder; one that cannot dilate keeps its strides.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, pyramid, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resize import resize_bilinear

# The encoder's last maps, in the paper those of its four stages.
_LEVELS = 4


class PyramidAttention(nn.Module):
    """Feature pyramid attention (sec. 3.1): 7x7, 5x5 and 3x3 on maps halved three times.

    Attributes:
      features: channels of the output.
      conv: builds a convolution with its norm and activation.
    """

    features: int
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        pooled = self.conv(self.features, 1, name="pooled")(x.mean(axis=(1, 2), keepdims=True))
        middle = self.conv(self.features, 1, name="middle")(x)
        down1 = self.conv(1, 7, name="down1")(_halve(x))
        down2 = self.conv(1, 5, name="down2")(_halve(down1))
        y = self.conv(1, 3, name="down3a")(_halve(down2))
        y = self.conv(1, 3, name="down3b")(y)
        for skip, kernel, name in ((down2, 5, "up2"), (down1, 7, "up1")):
            y = resize_bilinear(y, skip.shape[1:3], align_corners=True)
            y = y + self.conv(1, kernel, name=name)(skip)
        y = resize_bilinear(y, x.shape[1:3], align_corners=True)
        return y * middle + pooled


def _halve(x: jax.Array) -> jax.Array:
    """Max pooling by 2; an axis of one position stays."""
    window = tuple(min(2, extent) for extent in x.shape[1:3])
    return max_pool(x, window, window)


class AttentionUpsample(nn.Module):
    """Global attention upsampling (sec. 3.2).

    Attributes:
      conv: builds a convolution with its norm and activation.
    """

    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, fine: jax.Array, coarse: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] and a coarser map to [batch, height, width, features]."""
        gate = self.conv(coarse.shape[-1], 1, activation=nn.sigmoid, name="gate")(
            coarse.mean(axis=(1, 2), keepdims=True)
        )
        y = self.conv(coarse.shape[-1], 3, name="conv")(fine) * gate
        return resize_bilinear(coarse, fine.shape[1:3], align_corners=True) + y


class PANDecoder(nn.Module):
    """`PyramidAttention` on the coarsest map, `AttentionUpsample` to each finer one, the logits.

    Attributes:
      num_classes: channels of the logits.
      levels: strides of the backbone's maps without dilation, which tell its stages apart.
      width: channels of the decoder.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
    """

    num_classes: int
    levels: Sequence[int]
    width: int = 32
    norm: str = "batch"
    activation: str | Activation = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=make_activation(self.activation),
            use_bias=True,
            dtype=self.dtype,
        )
        *finer, coarsest = pyramid(features, self.levels)[-_LEVELS:]
        x = PyramidAttention(self.width, conv, name="attention")(coarsest)
        for number in range(len(finer), 0, -1):
            x = AttentionUpsample(conv, name=f"up{number}")(finer[number - 1], x)
        x = Conv(self.num_classes, (3, 3), padding=1, dtype=self.dtype, name="logits")(x)
        return resize_bilinear(x.astype(jnp.float32), images.shape[1:3], align_corners=True)


VARIANTS = {"pan": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet34",
    encoder_options: Mapping[str, Any] | None = None,
    output_stride: int = 16,
    dilate_first: bool = False,
    width: int = 32,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `output_stride` and `dilate_first` need an encoder that can dilate."""
    network = make_encoder(
        encoder, encoder_options, dtype, output_stride=output_stride, dilate_first=dilate_first
    )
    own = {k: v for k, v in (encoder_options or {}).items() if k != "output_stride"}
    levels = make_encoder(encoder, own, dtype).backbone.strides
    return segment_with(network, PANDecoder(num_classes, levels, width, norm, activation, dtype))
