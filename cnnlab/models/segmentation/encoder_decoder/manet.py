"""MA-Net (Fan et al. 2020, "MA-Net: a multi-scale attention network", IEEE Access 8).

As in segmentation_models_pytorch 0.6.0, on any classifier's backbone: attention between all
positions of the coarsest map, and decoder levels whose skip and map from below gate each other's
channels. Deviations of that code, kept so that weights agree: the softmax is over all pairs of
positions at once, not over the positions for each, and the attended map is read in another order
than it was written (positions as channels); the upsampled map alone is scaled by the sum of the
gates.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.encoder_unet import SkipBlock
from cnnlab.models.segmentation.encoder_decoder.encoders import (
    level_widths,
    make_encoder,
    pyramid,
    segment_with,
)
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.resize import resize_nearest

_REDUCTION = 16


class PositionAttention(nn.Module):
    """Adds to each position what all others have to say to it (the position-wise attention block).

    Attributes:
      features: channels in which positions are compared.
    """

    features: int = 64
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape; needs (height * width)^2 numbers."""
        batch, height, width, channels = x.shape
        conv = partial(Conv, dtype=self.dtype)

        def flat(y: jax.Array) -> jax.Array:
            return y.reshape(batch, height * width, -1)

        queries = flat(conv(self.features, (1, 1), name="center")(x))
        keys = flat(conv(self.features, (1, 1), name="top")(x))
        values = flat(conv(channels, (3, 3), padding=1, name="bottom")(x))
        scores = jnp.einsum("bic,bjc->bij", queries, keys).astype(jnp.float32)
        weights = nn.softmax(scores.reshape(batch, -1)).reshape(scores.shape).astype(self.dtype)
        attended = jnp.einsum("bij,bjc->bic", weights, values)
        attended = attended.reshape(batch, channels, height, width).transpose(0, 2, 3, 1)
        return conv(channels, (3, 3), padding=1, name="out")(x + attended)


class ChannelGate(nn.Module):
    """The gate of a squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507), without its scaling.

    Attributes:
      hidden: width between its layers.
    """

    hidden: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to factors [batch, 1, 1, c] in [0, 1]."""
        y = x.mean(axis=(1, 2), keepdims=True)
        y = nn.relu(Conv(self.hidden, (1, 1), dtype=self.dtype, name="reduce")(y))
        return nn.sigmoid(Conv(x.shape[-1], (1, 1), dtype=self.dtype, name="expand")(y))


class FusionBlock(nn.Module):
    """A level with a skip (the multi-scale fusion attention block).

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
    def __call__(self, x: jax.Array, skip: jax.Array) -> jax.Array:
        """Maps a coarser map and a skip [b, height, width, c] to [b, height, width, features]."""
        conv = partial(ConvNormAct, norm=self.norm, activation=self.activation, dtype=self.dtype)
        width = skip.shape[-1]
        gate = partial(ChannelGate, max(1, width // _REDUCTION), self.dtype)
        x = conv(width, 1, name="below2")(conv(x.shape[-1], name="below1")(x))
        x = resize_nearest(x, skip.shape[1:3])
        x = x * (gate(name="gate_below")(x) + gate(name="gate_skip")(skip))
        x = conv(self.features, name="conv1")(jnp.concatenate([x, skip], axis=-1))
        return conv(self.features, name="conv2")(x)


class MANetDecoder(nn.Module):
    """Attention on the coarsest map, levels of fusion, a last one without skip, and the logits.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      widths: channels of each level, coarse to fine.
      attention_width: channels in which positions are compared.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution with a norm.
    """

    num_classes: int
    strides: Sequence[int]
    widths: Sequence[int]
    attention_width: int = 64
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
        x = PositionAttention(self.attention_width, self.dtype, name="center")(x)
        *widths, last = self.widths
        for number, (width, skip) in enumerate(zip(widths, reversed(skips), strict=True), start=1):
            block = FusionBlock(width, norm, activation, self.dtype, name=f"level{number}")
            x = block(x, skip)
        block = SkipBlock(last, norm, activation, dtype=self.dtype, name=f"level{len(self.widths)}")
        x = block(x, None, images.shape[1:3])
        return Conv(self.num_classes, (3, 3), padding=1, dtype=self.dtype, name="logits")(x)


VARIANTS = {"manet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet34",
    encoder_options: Mapping[str, Any] | None = None,
    widths: Sequence[int] = (256, 128, 64, 32, 16),
    attention_width: int = 64,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; of `widths`, encoders with fewer levels use the last ones."""
    network = make_encoder(encoder, encoder_options, dtype)
    head = MANetDecoder(
        num_classes,
        network.backbone.strides,
        level_widths(widths, network),
        attention_width,
        norm,
        activation,
        dtype,
    )
    return segment_with(network, head)
