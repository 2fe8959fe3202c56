"""Panoptic FPN's semantic branch (Kirillov et al. 2019, arXiv:1901.02446, fig. 3).

A feature pyramid (Lin et al. 2016, arXiv:1612.03144, sec. 3) whose maps are brought to the finest
one's size by convolutions with doublings between them, and added up. As in
segmentation_models_pytorch 0.6.0 (`FPN`), on any classifier's backbone. Deviations of that code: no
3x3 convolution on the pyramid's maps, interpolation with fixed corners, dropout of whole channels.
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
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.resize import resize_bilinear, resize_nearest

# The pyramid has the last maps of the encoder, in the paper those of strides 4 to 32.
_LEVELS = 4


class FPNDecoder(nn.Module):
    """Pyramid, branches from each of its maps to the finest, their sum, and the logits.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      pyramid_width: channels of the pyramid's maps.
      width: channels of the branches.
      dropout_rate: share of the channels of the sum that training sets to zero.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution of the branches.
    """

    num_classes: int
    strides: Sequence[int]
    pyramid_width: int = 256
    width: int = 128
    dropout_rate: float = 0.2
    norm: str = "group"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        maps = pyramid(features, self.strides)[-_LEVELS:]
        sizes = [x.shape[1:3] for x in maps]
        total, above = 0.0, None
        for level in range(len(maps), 0, -1):
            lateral = Conv(self.pyramid_width, (1, 1), dtype=self.dtype, name=f"lateral{level}")
            x = lateral(maps[level - 1])
            if above is not None:
                x = resize_nearest(above, x.shape[1:3]) + x
            above = x
            for step in range(max(1, level - 1)):
                x = ConvNormAct(
                    self.width,
                    norm=norm,
                    activation=activation,
                    use_bias=False,
                    dtype=self.dtype,
                    name=f"branch{level}_conv{step + 1}",
                )(x)
                if level > 1:
                    x = resize_bilinear(x, sizes[level - 2 - step], align_corners=True)
            total = total + x
        dropout = Dropout(self.dropout_rate, broadcast_dims=(1, 2), deterministic=not train)
        x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(dropout(total))
        return resize_bilinear(x.astype(jnp.float32), images.shape[1:3], align_corners=True)


VARIANTS = {"fpn": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet34",
    encoder_options: Mapping[str, Any] | None = None,
    pyramid_width: int = 256,
    width: int = 128,
    norm: str = "group",
    activation: str = "relu",
    dropout_rate: float = 0.2,
) -> Segmenter:
    """Builds the network."""
    network = make_encoder(encoder, encoder_options, dtype)
    head = FPNDecoder(
        num_classes,
        network.backbone.strides,
        pyramid_width,
        width,
        dropout_rate,
        norm,
        activation,
        dtype,
    )
    return segment_with(network, head)
