"""LinkNet (Chaurasia & Culurciello 2017, "LinkNet: exploiting encoder...", arXiv:1707.03718).

Skips are added, not concatenated, so that the decoder stays narrow (fig. 1). As in
segmentation_models_pytorch 0.6.0, on any classifier's backbone. Deviations: the skip of the finest
map too, where the paper has three; one more block of the same kind and a 1x1 convolution in the
place of the paper's last two transposed convolutions.
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
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.resize import resize_bilinear


class LinkBlock(nn.Module):
    """1x1 convolution to a fourth of the channels, doubling of the size, 1x1 convolution (fig. 3).

    Attributes:
      features: channels of the output.
      norm: builds a normalization layer.
      activation: activation after each convolution.
    """

    features: int
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, 2 * height, 2 * width, features]."""
        inner = max(1, x.shape[-1] // 4)
        conv = partial(
            ConvNormAct, kernel=1, norm=self.norm, activation=self.activation, dtype=self.dtype
        )
        x = conv(inner, name="reduce")(x)
        x = ConvTranspose(inner, kernel=4, padding=1, dtype=self.dtype, name="up")(x)
        x = self.activation(self.norm(name="up_norm")(x))
        return conv(self.features, name="expand")(x)


class LinkNetDecoder(nn.Module):
    """Blocks whose outputs are added to the encoder's maps, and the logits.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      width: channels of the last block, which has no skip.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    strides: Sequence[int]
    width: int = 32
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
        *skips, x = pyramid(features, self.strides, finest=2)
        for number, skip in enumerate([*reversed(skips), None], start=1):
            width = self.width if skip is None else skip.shape[-1]
            x = LinkBlock(width, norm, activation, self.dtype, name=f"level{number}")(x)
            x = resize_bilinear(x, (images if skip is None else skip).shape[1:3])
            x = x if skip is None else x + skip
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


VARIANTS = {"linknet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet34",
    encoder_options: Mapping[str, Any] | None = None,
    width: int = 32,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network."""
    network = make_encoder(encoder, encoder_options, dtype)
    return segment_with(
        network,
        LinkNetDecoder(num_classes, network.backbone.strides, width, norm, activation, dtype),
    )
