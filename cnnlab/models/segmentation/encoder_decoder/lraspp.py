"""LR-ASPP (Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, sec. 6.4, fig. 10).

A 1x1 convolution of the last map, gated by the average of that map, is scored and joins the scores
of the map with an eighth of the image's size. As in torchvision (`lraspp_mobilenet_v3_large`): the
encoder dilates instead of its last stride; of each resolution MobileNetV3's first block gives the
map. Deviations: the average is of the whole map, where the paper's is of windows of 49x49
positions; any classifier may be the encoder, of which a map with a stride of at most 8 joins.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Identity, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.resize import resize_bilinear

_FINE_STRIDE = 8


class LRASPPHead(nn.Module):
    """A gated 1x1 convolution of the last map; scores of it and of a finer map, added up.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      width: channels of the gated convolution.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after the norm.
    """

    num_classes: int
    strides: Sequence[int]
    width: int = 128
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        conv = partial(ConvNormAct, self.width, 1, use_bias=False, dtype=self.dtype)
        fine, x = features[_fine(self.strides)], features[-1]
        gate = conv(norm=Identity, activation=nn.sigmoid, name="gate")(
            x.mean(axis=(1, 2), keepdims=True)
        )
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        x = conv(norm=norm, activation=make_activation(self.activation), name="conv")(x)
        x = resize_bilinear(x * gate, fine.shape[1:3])
        score = partial(Conv, self.num_classes, (1, 1), dtype=self.dtype)
        x = score(name="fine_logits")(fine) + score(name="logits")(x)
        return resize_bilinear(x.astype(jnp.float32), images.shape[1:3])


def _fine(strides: Sequence[int]) -> int:
    """Number of the map that joins; the finest where none has so small a stride."""
    maps = [stride for stride in strides if stride]
    fine = [stride for stride in maps if stride <= _FINE_STRIDE]
    return strides.index(max(fine) if fine else min(maps))


VARIANTS = {"lraspp": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "mobilenet_v3_large",
    encoder_options: Mapping[str, Any] | None = None,
    output_stride: int = 16,
    dilate_first: bool = True,
    width: int = 128,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `output_stride` and `dilate_first` need an encoder that can dilate."""
    network = make_encoder(
        encoder,
        encoder_options,
        dtype,
        output_stride=output_stride,
        dilate_first=dilate_first,
        map_block="first",
    )
    head = LRASPPHead(num_classes, network.backbone.strides, width, norm, activation, dtype)
    return segment_with(network, head)
