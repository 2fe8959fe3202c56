"""PSPNet (Zhao et al. 2016, "Pyramid scene parsing network", arXiv:1612.01105).

Averages over 1, 2 x 2, 3 x 3 and 6 x 6 regions join the encoder's map, so that each position sees
the whole scene (fig. 3). By default a ResNet-50 that dilates, so that its last map has an eighth of
the image's size (sec. 3.2). The auxiliary head (sec. 3.3) scores the map before, with the paper's
weight of 0.4.

The decoder is that of segmentation_models_pytorch 0.6.0, and departs from the paper's code: a 1x1
convolution joins the regions, where that has 3x3, and the logits come of 3x3; the average of the
whole map has no norm. That library cuts the encoder off at an eighth of the image, instead of
dilating it: `dilate=False`. The stages cut off stay in the network, as there: their weights do not
learn, only their batch statistics move.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmentation.encoder_decoder.dilated_fcn import ScoreHead, sow_auxiliary
from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Identity, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import adaptive_avg_pool
from cnnlab.nn.resize import resize_bilinear

_BINS = (1, 2, 3, 6)
_AUX_WEIGHT = 0.4


class PSPHead(nn.Module):
    """Pyramid pooling, a 1x1 convolution, and the logits.

    Attributes:
      num_classes: channels of the logits.
      number: index of the backbone's map that is pooled.
      width: channels after the pooling.
      aux: whether there is an auxiliary head, on the map before.
      dropout_rate: share of the channels before the logits that training sets to zero.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution but the last.
    """

    num_classes: int
    number: int
    width: int = 512
    aux: bool = False
    dropout_rate: float = 0.2
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        conv = partial(ConvNormAct, kernel=1, activation=activation, dtype=self.dtype)
        x = features[self.number]
        if self.aux:
            head = ScoreHead(self.num_classes, norm, activation, dtype=self.dtype, name="aux")
            sow_auxiliary(self, head, features[self.number - 1], images, train=train)
        regions = []
        for bins in _BINS:
            # A norm of one value for each channel would leave nothing of it, in a batch of one.
            pooled = conv(
                max(1, x.shape[-1] // len(_BINS)),
                norm=Identity if bins == 1 else norm,
                name=f"pool{bins}",
            )(adaptive_avg_pool(x, bins))
            regions.append(resize_bilinear(pooled, x.shape[1:3], align_corners=True))
        x = conv(self.width, norm=norm, name="conv")(jnp.concatenate([*regions, x], axis=-1))
        x = Dropout(self.dropout_rate, broadcast_dims=(1, 2), deterministic=not train)(x)
        x = Conv(self.num_classes, (3, 3), padding=1, dtype=self.dtype, name="logits")(x)
        return resize_bilinear(x.astype(jnp.float32), images.shape[1:3], align_corners=True)


VARIANTS = {"pspnet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet50",
    encoder_options: Mapping[str, Any] | None = None,
    output_stride: int = 8,
    dilate: bool = True,
    width: int = 512,
    aux: bool = False,
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.2,
) -> Segmenter:
    """Builds the network; the last map with a stride of at most `output_stride` is pooled."""
    preferred = {"output_stride": output_stride} if dilate else {}
    network = make_encoder(encoder, encoder_options, dtype, **preferred)
    return segment_with(
        network,
        PSPHead(
            num_classes,
            _pooled(network.backbone.strides, output_stride),
            width,
            aux,
            dropout_rate,
            norm,
            activation,
            dtype,
        ),
        aux_weight=_AUX_WEIGHT,
    )


def _pooled(strides: Sequence[int], output_stride: int) -> int:
    """Number of the last map whose stride is at most `output_stride`."""
    numbers = [number for number, stride in enumerate(strides) if stride <= output_stride]
    if not numbers:
        raise UserError(
            f"model.options.output_stride={output_stride} must be at least {min(strides)}, the "
            "stride of the encoder's finest map."
        )
    return numbers[-1]
