"""SegFormer (Xie et al. 2021, "SegFormer: simple and efficient...", arXiv:2105.15203, sec. 3.2).

A dense layer of each of the encoder's maps, all brought to a fourth of the image's size, a 1x1
convolution, and the logits (fig. 2). The paper's encoders are `mit_b0` to `mit_b5`; as in
segmentation_models_pytorch 0.6.0 any classifier may be one, and every map smaller than the image
takes part. Deviation, of that code: no dropout before the logits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, pyramid, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.resize import resize_bilinear

_STRIDE = 4


class SegFormerDecoder(nn.Module):
    """Dense layers of all maps, side by side at a fourth of the image's size; fusion; the logits.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      width: channels of each dense layer and of the fused map.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation of the fused map.
    """

    num_classes: int
    strides: Sequence[int]
    width: int = 256
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        size = [-(-extent // _STRIDE) for extent in images.shape[1:3]]
        levels = [
            resize_bilinear(nn.Dense(self.width, dtype=self.dtype, name=f"dense{number}")(x), size)
            for number, x in enumerate(reversed(pyramid(features, self.strides, 2)), start=1)
        ]
        x = ConvNormAct(
            self.width,
            1,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=make_activation(self.activation),
            use_bias=False,
            dtype=self.dtype,
            name="fuse",
        )(jnp.concatenate(levels, axis=-1))
        x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)
        return resize_bilinear(x.astype(jnp.float32), images.shape[1:3], align_corners=True)


VARIANTS = {"segformer": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "mit_b0",
    encoder_options: Mapping[str, Any] | None = None,
    width: int = 256,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network."""
    network = make_encoder(encoder, encoder_options, dtype)
    strides = network.backbone.strides
    return segment_with(
        network, SegFormerDecoder(num_classes, strides, width, norm, activation, dtype)
    )
