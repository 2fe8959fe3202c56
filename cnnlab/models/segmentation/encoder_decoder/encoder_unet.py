"""U-Net on any classifier's backbone, as in segmentation_models_pytorch (`Unet`, 0.6.0).

The decoder doubles the size of the coarsest map level by level, by repetition, concatenated with
the encoder's map of that size; the last level has none: no map of the image's size is a skip.
Ronneberger et al. 2015, arXiv:1505.04597, is the origin of the form, and
`cnnlab.models.segmentation.unet_family.unet` that network. `attention=scse` is of Roy et al. 2018,
arXiv:1803.02579.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmentation.encoder_decoder.encoders import (
    level_widths,
    make_encoder,
    pyramid,
    segment_with,
)
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, Identity, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.resize import resize_nearest
from cnnlab.nn.scse import SpatialChannelSqueezeExcite


class SkipBlock(nn.Module):
    """Nearest-neighbour upsampling, concatenated skip, two convolutions; optional attention.

    Attributes:
      features: channels of the output.
      norm: builds a normalization layer.
      activation: activation after each convolution.
      attention: `none` or `scse`.
    """

    features: int
    norm: Callable[..., nn.Module] = Identity
    activation: Activation = nn.relu
    attention: str = "none"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, skip: jax.Array | None, size: Sequence[int]) -> jax.Array:
        """Maps [batch, height, width, c] and a skip of the new size to [batch, *size, features]."""

        def attend(x: jax.Array, name: str) -> jax.Array:
            if self.attention == "none":
                return x
            return SpatialChannelSqueezeExcite(self.dtype, name=name)(x)

        conv = partial(
            ConvNormAct,
            self.features,
            norm=self.norm,
            activation=self.activation,
            dtype=self.dtype,
        )
        x = resize_nearest(x, size)
        if skip is not None:
            x = attend(jnp.concatenate([x, skip], axis=-1), "attention1")
        elif self.is_initializing():
            # The library has an attention here that it never applies: its files want the weights.
            attend(x, "attention1")
        return attend(conv(name="conv2")(conv(name="conv1")(x)), "attention2")


class EncoderUNetDecoder(nn.Module):
    """Levels of `SkipBlock`, and the logits.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      widths: channels of each level, coarse to fine.
      center: a pair of convolutions on the coarsest map.
      attention: `none` or `scse`.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    strides: Sequence[int]
    widths: Sequence[int]
    center: bool = False
    attention: str = "none"
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
        if self.center:
            x = DoubleConv(
                x.shape[-1], norm=norm, activation=activation, dtype=self.dtype, name="center"
            )(x)
        for number, (width, skip) in enumerate(
            zip(self.widths, [*reversed(skips), None], strict=True), start=1
        ):
            size = (images if skip is None else skip).shape[1:3]
            x = SkipBlock(
                width, norm, activation, self.attention, self.dtype, name=f"level{number}"
            )(x, skip, size)
        return Conv(self.num_classes, (3, 3), padding=1, dtype=self.dtype, name="logits")(x)


def check_attention(attention: str) -> None:
    """Raises a UserError for a name that `SkipBlock` does not know."""
    if attention not in ("none", "scse"):
        raise UserError(f"Unknown attention '{attention}': choose none or scse.")


def needs_center(encoder: str) -> bool:
    """Whether the coarsest map is pooled and no more, as VGG's: other encoders convolve it."""
    return encoder.startswith("vgg")


VARIANTS = {"encoder_unet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet34",
    encoder_options: Mapping[str, Any] | None = None,
    widths: Sequence[int] = (256, 128, 64, 32, 16),
    attention: str = "none",
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; of `widths`, encoders with fewer levels use the last ones."""
    check_attention(attention)
    network = make_encoder(encoder, encoder_options, dtype)
    head = EncoderUNetDecoder(
        num_classes,
        network.backbone.strides,
        level_widths(widths, network),
        needs_center(encoder),
        attention,
        norm,
        activation,
        dtype,
    )
    return segment_with(network, head)
