"""DeepLabV3+ (Chen et al. 2018, "Encoder-decoder with atrous separable...", arXiv:1802.02611).

DeepLabV3 with a decoder (fig. 2): the pyramid's map, upsampled, joins 48 channels of the encoder's
map of stride 4. As in segmentation_models_pytorch 0.6.0: dilated convolutions are separable, one
more separable convolution follows the pyramid, and one and not two follow the join. By default the
encoder is a ResNet-34 whose last map has a sixteenth of the image's size and dilates as that
library's (`dilate_first`). Any classifier may be the encoder; one that cannot dilate keeps its
strides, and one without a map of stride 4 gives its finest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.deeplabv3 import AtrousPyramid, SeparableConv
from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, pyramid, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.resize import resize_bilinear

_FINE_STRIDE = 4


class DeepLabV3PlusHead(nn.Module):
    """`AtrousPyramid` on the last map, joined with a fine map, and the logits.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      width: channels of the pyramid and after the join.
      fine_width: channels to which the fine map is projected.
      rates: dilations of the pyramid.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
      dropout_rate: dropout rate after the pyramid.
    """

    num_classes: int
    strides: Sequence[int]
    width: int = 256
    fine_width: int = 48
    rates: Sequence[int] = (12, 24, 36)
    norm: str = "batch"
    activation: str = "relu"
    dropout_rate: float = 0.5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        shared = {
            "norm": make_norm(self.norm, train=train, dtype=self.dtype),
            "activation": make_activation(self.activation),
            "dtype": self.dtype,
        }
        strides = sorted(set(self.strides) - {0})
        maps = dict(zip(strides, pyramid(features, strides=self.strides), strict=True))
        fine = maps.get(_FINE_STRIDE, maps[strides[0]])
        x = AtrousPyramid(
            self.width,
            self.rates,
            separable=True,
            dropout_rate=self.dropout_rate,
            **shared,
            name="pyramid",
        )(features[-1], train=train)
        x = SeparableConv(self.width, **shared, name="conv")(x)
        x = resize_bilinear(x, fine.shape[1:3], align_corners=True)
        fine = ConvNormAct(self.fine_width, 1, use_bias=False, **shared, name="fine")(fine)
        x = SeparableConv(self.width, **shared, name="join")(jnp.concatenate([x, fine], axis=-1))
        x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)
        return resize_bilinear(x.astype(jnp.float32), images.shape[1:3], align_corners=True)


VARIANTS = {"deeplabv3plus": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet34",
    encoder_options: Mapping[str, Any] | None = None,
    output_stride: int = 16,
    dilate_first: bool = True,
    width: int = 256,
    fine_width: int = 48,
    rates: Sequence[int] = (12, 24, 36),
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.5,
) -> Segmenter:
    """Builds the network; `output_stride` and `dilate_first` need an encoder that can dilate."""
    network = make_encoder(
        encoder, encoder_options, dtype, output_stride=output_stride, dilate_first=dilate_first
    )
    head = DeepLabV3PlusHead(
        num_classes,
        network.backbone.strides,
        width,
        fine_width,
        rates,
        norm,
        activation,
        dropout_rate,
        dtype,
    )
    return segment_with(network, head)
