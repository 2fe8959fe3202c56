"""U-Net on any classifier's backbone, as segmentation_models_pytorch has it (`Unet`, 0.6.0).

The decoder doubles the size of the coarsest map level by level, by repetition, beside the encoder's
map of that size; the last level has none: the image itself is no skip. Ronneberger et al. 2015,
arXiv:1505.04597, is the origin of the form, and `cnnlab.models.segmentation.unet` that network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.encoders import encoder_strides, make_encoder, pyramid
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.resize import resize_nearest


class EncoderUNetDecoder(nn.Module):
    """Levels of nearest enlargement, skip and a pair of convolutions.

    Attributes:
      num_classes: channels of the logits.
      strides: of the backbone's maps.
      widths: channels of each level, coarse to fine.
      center: a pair of convolutions on the coarsest map.
      norm: `batch`, `layer`, `group` or `none`.
      activation: after each convolution.
    """

    num_classes: int
    strides: Sequence[int]
    widths: Sequence[int]
    center: bool = False
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)

        def convolve(x: jax.Array, width: int, name: str) -> jax.Array:
            activation = make_activation(self.activation)
            return DoubleConv(width, norm=norm, activation=activation, dtype=self.dtype, name=name)(
                x
            )

        maps = pyramid(features, self.strides)
        *skips, x = [m for m, s in zip(maps, sorted(set(self.strides)), strict=True) if s > 1]
        if self.center:
            x = convolve(x, x.shape[-1], "center")
        for number, width in enumerate(self.widths, start=1):
            if number <= len(skips):
                skip = skips[-number]
                x = jnp.concatenate([resize_nearest(x, skip.shape[1:3]), skip], axis=-1)
            else:
                x = resize_nearest(x, images.shape[1:3])
            x = convolve(x, width, f"level{number}")
        return Conv(self.num_classes, (3, 3), padding=1, dtype=self.dtype, name="logits")(x)


VARIANTS = {"encoder_unet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "resnet34",
    encoder_options: Mapping[str, Any] | None = None,
    widths: Sequence[int] = (256, 128, 64, 32, 16),
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """The whole network; of `widths`, encoders with fewer levels use the last ones."""
    network = make_encoder(encoder, encoder_options or {}, dtype)
    levels = sum(stride > 1 for stride in encoder_strides(network))
    head = EncoderUNetDecoder(
        num_classes,
        network.backbone.strides,
        tuple(widths)[-levels:],
        # VGG's last map is pooled and no more: what other encoders do after pooling is done here.
        encoder.startswith("vgg"),
        norm,
        activation,
        dtype,
    )
    return Segmenter(
        network.backbone,
        head,
        min_size=network.min_size,
        small_image_hint=network.small_image_hint,
    )
