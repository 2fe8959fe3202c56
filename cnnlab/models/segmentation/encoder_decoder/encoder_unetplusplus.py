"""U-Net++ on any classifier's backbone, as in segmentation_models_pytorch (0.6.0).

Zhou et al. 2018, arXiv:1807.10165, fig. 1a, on an encoder's maps: node (d, l) upsamples node
(d, l - 1) and takes the encoder's map of its size and all earlier nodes of that size; nodes (0, l)
are a U-Net's. `cnnlab.models.segmentation.unet_family.unetplusplus` is the paper's network.
Deviations: node (0, 0) starts from the encoder's coarsest map, the last level has no skip, and
there is no deep supervision.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.encoder_unet import (
    SkipBlock,
    check_attention,
    needs_center,
)
from cnnlab.models.segmentation.encoder_decoder.encoders import (
    level_widths,
    make_encoder,
    pyramid,
    segment_with,
)
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.double_conv import DoubleConv


class NestedEncoderDecoder(nn.Module):
    """Nodes of `SkipBlock`, and the logits.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      widths: channels of nodes (0, l), coarse to fine; other nodes are as wide as the encoder's map
        of their size.
      center: a pair of convolutions, which the library makes for VGG and never applies: it has
        weights in its files.
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
        block = partial(
            SkipBlock,
            norm=norm,
            activation=activation,
            attention=self.attention,
            dtype=self.dtype,
        )
        maps = pyramid(features, self.strides, finest=2)[::-1]
        if self.center and self.is_initializing():
            DoubleConv(
                maps[0].shape[-1], norm=norm, activation=activation, dtype=self.dtype, name="center"
            )(maps[0])
        nodes: dict[tuple[int, int], jax.Array] = {}
        last = len(maps) - 1
        for step in range(last):
            for depth in range(last - step):
                level = depth + step
                below = nodes[depth, level - 1] if step else maps[depth]
                skip = maps[level + 1]
                row = [nodes[other, level] for other in range(depth + 1, level + 1)]
                nodes[depth, level] = block(
                    skip.shape[-1] if depth else self.widths[level], name=f"node{depth}_{level}"
                )(below, jnp.concatenate([*row, skip], axis=-1), skip.shape[1:3])
        x = nodes[0, last - 1] if last else maps[0]
        x = block(self.widths[last], name=f"node0_{last}")(x, None, images.shape[1:3])
        return Conv(self.num_classes, (3, 3), padding=1, dtype=self.dtype, name="logits")(x)


VARIANTS = {"encoder_unetplusplus": {}}


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
    head = NestedEncoderDecoder(
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
