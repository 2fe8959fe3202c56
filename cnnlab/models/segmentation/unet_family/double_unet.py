"""DoubleU-Net (Jha et al. 2020, "DoubleU-Net: a deep convolutional...", arXiv:2006.04868).

Two U-Nets in a row (fig. 1). The first encodes with VGG-19, so that its weights fit; its mask
multiplies the image, which the second sees; the second's decoder takes the skips of both encoders.
Both close their encoders with atrous spatial pyramid pooling, and their pairs of convolutions with
squeeze-and-excitation. The second mask is the result; the first is an auxiliary output.

Details are those of the authors' PyTorch code: convolutions without bias, a pyramid whose pooled
branch has 2x2 positions. Deviations: of several classes, class 0 is taken for background, and the
image is multiplied by the probability of all others; upsampled maps take the size of their skip, so
any size works.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.vgg import VGG
from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.pool import adaptive_avg_pool, max_pool
from cnnlab.nn.resize import resize_bilinear
from cnnlab.nn.squeeze_excite import SqueezeExcite

# Dilations of the pyramid's 3x3 convolutions.
_RATES = (6, 12, 18)
# Width of a pair of convolutions over the width inside its squeeze-and-excitation.
_REDUCTION = 8


class ExcitedDoubleConv(nn.Module):
    """A pair of convolutions and squeeze-and-excitation.

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
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        x = DoubleConv(
            self.features,
            norm=self.norm,
            activation=self.activation,
            dtype=self.dtype,
            name="double_conv",
        )(x)
        hidden = max(1, self.features // _REDUCTION)
        return SqueezeExcite(hidden, dtype=self.dtype, name="squeeze_excite")(x)


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: five branches, joined and convolved.

    Attributes:
      features: channels of each branch and of the output.
      conv: builds a convolution with its norm and activation, as `ConvNormAct`.
    """

    features: int
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        pooled = self.conv(self.features, 1, name="pooled")(adaptive_avg_pool(x, 2))
        branches = [
            resize_bilinear(pooled, x.shape[1:3], align_corners=True),
            self.conv(self.features, 1, name="rate1")(x),
            *(self.conv(self.features, dilation=r, name=f"rate{r}")(x) for r in _RATES),
        ]
        return self.conv(self.features, 1, name="project")(jnp.concatenate(branches, axis=-1))


class DoubleUNetHead(nn.Module):
    """The first U-Net's decoder, and the whole second U-Net.

    Attributes:
      num_classes: channels of the logits.
      width: channels of the finest level of both decoders and of the second encoder; coarser ones
        double it.
      pyramid_width: channels of the pyramids.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    width: int = 32
    pyramid_width: int = 64
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps VGG's maps and the images to logits [batch, height, width, num_classes].

        Training puts the logits of the first mask into the collection `aux_logits`.
        """
        options = {
            "norm": make_norm(self.norm, train=train, dtype=self.dtype),
            "activation": make_activation(self.activation),
            "dtype": self.dtype,
        }
        # VGG's last map is pooled and no more, the one before is the pyramid's.
        *skips, x, _ = features
        widths = [self.width * 2**level for level in range(len(skips))]
        conv = partial(ConvNormAct, **options)

        def pyramid(x: jax.Array, name: str) -> jax.Array:
            return AtrousPyramid(self.pyramid_width, conv, name=name)(x)

        def block(x: jax.Array, level: int, name: str) -> jax.Array:
            return ExcitedDoubleConv(widths[level], **options, name=f"{name}{level + 1}")(x)

        def decode(x: jax.Array, skips: list[list[jax.Array]], name: str) -> jax.Array:
            for level in range(len(skips) - 1, -1, -1):
                x = resize_bilinear(x, skips[level][0].shape[1:3], align_corners=True)
                x = block(jnp.concatenate([x, *skips[level]], axis=-1), level, name)
            return x

        def logits(x: jax.Array, name: str) -> jax.Array:
            layer = Conv(self.num_classes, (1, 1), dtype=self.dtype, name=name)
            return layer(x).astype(jnp.float32)

        x = decode(pyramid(x, "pyramid1"), [[skip] for skip in skips], "decoder1_level")
        mask = logits(x, "mask")
        if train:
            self.sow("aux_logits", "mask_logits", mask)

        x, both = images * foreground(mask).astype(images.dtype), []
        for level, skip in enumerate(skips):
            x = block(x, level, "encoder2_level")
            both.append([skip, x])
            x = max_pool(x, (2, 2), (2, 2))
        return logits(decode(pyramid(x, "pyramid2"), both, "decoder2_level"), "logits")


def foreground(logits: jax.Array) -> jax.Array:
    """Probability of foreground, [..., 1]: of the only class, or of all but class 0."""
    if logits.shape[-1] == 1:
        return nn.sigmoid(logits)
    return 1.0 - nn.softmax(logits)[..., :1]


VARIANTS = {"double_unet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "vgg19",
    encoder_options: Mapping[str, Any] | None = None,
    width: int = 32,
    pyramid_width: int = 64,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `encoder` is a VGG, `norm` is of all that is not the encoder."""
    network = make_encoder(encoder, encoder_options or {}, dtype)
    if not isinstance(network.backbone, VGG):
        raise UserError(
            f"model.options.encoder={encoder}: DoubleU-Net takes the maps of a VGG; choose vgg19, "
            "vgg16_bn or another one."
        )
    return Segmenter(
        network.backbone,
        DoubleUNetHead(num_classes, width, pyramid_width, norm, activation, dtype),
        # The last pooling of VGG is not used.
        min_size=network.min_size // 2,
        aux_weight=1.0,
    )
