"""FCN on a ResNet that dilates instead of its last strides, as in torchvision (`fcn_resnet*`).

Long et al. 2015, arXiv:1411.4038, gives the name; the network is a ResNet whose maps stay at an
eighth of the image, and two convolutions. The auxiliary head of Zhao et al. 2016, arXiv:1612.01105,
sec. 3.3, scores the stage before the last, with the weight 0.5 of torchvision's recipe. Deviations:
any classifier may be the encoder; one that cannot dilate keeps its strides.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.resize import resize_bilinear

# Of torchvision's recipes for FCN and DeepLabV3.
AUX_WEIGHT = 0.5


class ScoreHead(nn.Module):
    """A 3x3 convolution to a fourth of the channels, dropout, and the logits.

    Attributes:
      num_classes: channels of the logits.
      norm: builds a normalization layer.
      activation: activation after the norm.
      dropout_rate: dropout rate before the logits.
    """

    num_classes: int
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    dropout_rate: float = 0.1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [batch, height, width, c] to logits of the same height and width, float32."""
        x = ConvNormAct(
            max(1, x.shape[-1] // 4),
            norm=self.norm,
            activation=self.activation,
            dtype=self.dtype,
            name="conv",
        )(x)
        x = Dropout(self.dropout_rate, deterministic=not train)(x)
        x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)
        return x.astype(jnp.float32)


def sow_auxiliary(
    module: nn.Module, head: ScoreHead, x: jax.Array, images: jax.Array, *, train: bool
) -> None:
    """Puts the logits of an auxiliary head, at the images' size, into `aux_logits` in training.

    Args:
      module: module that contains the head.
      head: a `ScoreHead`.
      x: map [batch, height, width, c] that it scores.
      images: images, which give the size.
      train: whether this is training; otherwise nothing is computed.
    """
    if train or module.is_initializing():
        logits = resize_bilinear(head(x, train=train), images.shape[1:3])
        if not module.is_initializing():
            module.sow("aux_logits", f"{head.name}_logits", logits)


class DilatedFCNHead(nn.Module):
    """`ScoreHead` on the last map, and an auxiliary one on the last but one.

    Attributes:
      num_classes: channels of the logits.
      aux: whether there is an auxiliary head.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
      dropout_rate: dropout rate before the logits.
    """

    num_classes: int
    aux: bool = False
    norm: str = "batch"
    activation: str = "relu"
    dropout_rate: float = 0.1
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
        # Its parameters are the head's own, as in torchvision's files.
        score = ScoreHead(
            self.num_classes, norm, activation, self.dropout_rate, self.dtype, name="score"
        )
        nn.share_scope(self, score)
        x = score(features[-1], train=train)
        return resize_bilinear(x, images.shape[1:3])


VARIANTS = {"fcn": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet50",
    encoder_options: Mapping[str, Any] | None = None,
    output_stride: int = 8,
    aux: bool = False,
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.1,
) -> Segmenter:
    """Builds the network; `output_stride` is of encoders that can dilate."""
    network = make_encoder(encoder, encoder_options, dtype, output_stride=output_stride)
    return segment_with(
        network,
        DilatedFCNHead(num_classes, aux, norm, activation, dropout_rate, dtype),
        aux_weight=AUX_WEIGHT,
    )
