"""FCN (Long et al. 2015, "Fully convolutional networks for semantic...", arXiv:1411.4038).

`fcn32s` scores the coarsest map alone; `fcn16s` and `fcn8s` add the scores of one and two finer
maps, each after a doubling of the size that starts as bilinear interpolation and is learned.

Deviations: any classifier may be the encoder, of which the last map of each stride is scored (of
VGG the paper takes the pooled ones, one stage earlier); the last upsampling is bilinear
interpolation, as which the paper fixed it; the hidden layers, VGG's dense ones made convolutions,
are padded, where the paper pads the image by 100 pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmentation.encoder_decoder.encoders import (
    encoder_strides,
    make_encoder,
    pyramid,
    segment_with,
)
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.conv_transpose import ConvTranspose, bilinear_init
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.resize import resize_bilinear

# The hidden layers' kernels, as of VGG's dense layers on a map of 7x7.
_KERNELS = (7, 1)


class FCNHead(nn.Module):
    """Scores of maps, from coarse to fine, added up.

    Attributes:
      num_classes: channels of the logits.
      strides: strides of the backbone's maps.
      skips: number of finer maps that are scored too.
      hidden: channels of the two layers before the scores of the coarsest map; empty for none.
      dropout_rate: dropout rate after each of them.
    """

    num_classes: int
    strides: Sequence[int]
    skips: int = 0
    hidden: Sequence[int] = ()
    dropout_rate: float = 0.5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the backbone's maps to logits [batch, height, width, num_classes]."""
        *finer, x = pyramid(features, self.strides)
        for number, (width, kernel) in enumerate(zip(self.hidden, _KERNELS, strict=False), 1):
            x = ConvNormAct(width, kernel, dtype=self.dtype, name=f"hidden{number}")(x)
            x = Dropout(self.dropout_rate, deterministic=not train)(x)
        x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)
        for number, skip in enumerate(finer[::-1][: self.skips], start=1):
            x = ConvTranspose(
                self.num_classes,
                kernel=4,
                padding=1,
                use_bias=False,
                kernel_init=bilinear_init,
                dtype=self.dtype,
                name=f"up{number}",
            )(x)
            # Scores of finer maps start at zero: training goes on from the coarser network (4.3).
            score = Conv(
                self.num_classes,
                (1, 1),
                kernel_init=nn.initializers.zeros_init(),
                dtype=self.dtype,
                name=f"logits{number}",
            )
            x = resize_bilinear(x, skip.shape[1:3]) + score(skip)
        return resize_bilinear(x, images.shape[1:3])


VARIANTS = {"fcn32s": {"skips": 0}, "fcn16s": {"skips": 1}, "fcn8s": {"skips": 2}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    skips: int,
    encoder: str = "vgg16",
    encoder_options: Mapping[str, Any] | None = None,
    hidden: Sequence[int] = (4096, 4096),
    dropout_rate: float = 0.5,
) -> Segmenter:
    """Builds the network; `encoder` is any classifier, see `encoders.make_encoder`."""
    if len(hidden) not in (0, 2):
        raise UserError(f"model.options.hidden={hidden} must have two widths, or none.")
    network = make_encoder(encoder, encoder_options, dtype)
    levels = len(encoder_strides(network))
    if skips >= levels:
        raise UserError(
            f"{encoder} has maps of {levels} strides, and {skips} skips need one more: take fcn32s."
        )
    strides = network.backbone.strides
    return segment_with(
        network,
        FCNHead(num_classes, strides, skips, hidden, dropout_rate, dtype),
    )
