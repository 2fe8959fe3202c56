"""UPerNet (Xiao et al. 2018, "Unified perceptual parsing...", arXiv:1807.10221, sec. 3.1, fig. 4).

A feature pyramid whose coarsest map has a pyramid pooling module; its levels are brought to the
finest one's size and fused. As in segmentation_models_pytorch 0.6.0, on any classifier's backbone.
Deviations, of that code: a layer norm of each of the encoder's maps; the logits are of the fused
map alone, for a single task.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, pyramid, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import adaptive_avg_pool
from cnnlab.nn.resize import resize_bilinear

_BINS = (1, 2, 3, 6)
# The pyramid has the last maps of the encoder, in the paper those of strides 4 to 32.
_LEVELS = 4


class UPerNetDecoder(nn.Module):
    """Pyramid pooling, feature pyramid, fusion, and the logits.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      width: channels of all levels.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
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
        conv = partial(
            ConvNormAct,
            self.width,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=make_activation(self.activation),
            use_bias=False,
            dtype=self.dtype,
        )
        maps = [
            nn.LayerNorm(1e-6, dtype=self.dtype, name=f"norm{level}")(x)
            for level, x in enumerate(pyramid(features, self.strides)[-_LEVELS:], start=1)
        ]
        *finer, x = maps
        regions = [x]
        for bins in _BINS:
            pooled = conv(kernel=1, name=f"pool{bins}")(adaptive_avg_pool(x, bins))
            regions.append(resize_bilinear(pooled, x.shape[1:3]))
        x = conv(name="pooled")(jnp.concatenate(regions, axis=-1))
        levels = [x]
        for level in range(len(finer), 0, -1):
            skip = conv(kernel=1, name=f"lateral{level}")(finer[level - 1])
            x = resize_bilinear(x, skip.shape[1:3]) + skip
            levels.append(conv(name=f"level{level}")(x))
        levels = [resize_bilinear(y, x.shape[1:3]) for y in reversed(levels)]
        x = conv(name="fuse")(jnp.concatenate(levels, axis=-1))
        x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)
        return resize_bilinear(x.astype(jnp.float32), images.shape[1:3], align_corners=True)


VARIANTS = {"upernet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet34",
    encoder_options: Mapping[str, Any] | None = None,
    width: int = 256,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network."""
    network = make_encoder(encoder, encoder_options, dtype)
    strides = network.backbone.strides
    return segment_with(
        network, UPerNetDecoder(num_classes, strides, width, norm, activation, dtype)
    )
