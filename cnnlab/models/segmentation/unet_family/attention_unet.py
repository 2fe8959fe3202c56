"""Attention U-Net (Oktay et al. 2018, "Attention U-Net: learning where...", arXiv:1804.03999).

A U-Net whose skips pass a gate (eq. 1 and 2): what comes from below says where to look.

This is the form of LeeJunHyun's PyTorch code, in which the network is in use. Its departures from
the paper: the gate works at the size of the skip, on the map from below after its upsampling,
where the paper strides over the skip to the coarser size and upsamples the coefficients; each of
its convolutions has a batch norm, and no convolution follows it; the finest skip has a gate too;
images instead of volumes. Upsampling is nearest-neighbour and a 3x3 convolution. Of the paper's
deep supervision, an option, the logits of the coarser levels are auxiliary outputs, upsampled by
interpolation; the paper's code joins them in a last layer.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmentation.unet_family.unet import UNetEncoder
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.resize import resize_bilinear, resize_nearest


class AttentionGate(nn.Module):
    """Scales each position of a skip by a coefficient in [0, 1] (eq. 1 and 2).

    Attributes:
      features: channels between the two convolutions.
      norm: builds a normalization layer, one after each convolution.
    """

    features: int
    norm: Callable[..., nn.Module]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, skip: jax.Array, gate: jax.Array) -> jax.Array:
        """Maps the skip and a map of its height and width to one of the skip's shape."""

        def conv(features: int, name: str) -> nn.Module:
            return ConvNormAct(
                features,
                1,
                norm=self.norm,
                activation=None,
                use_bias=True,
                dtype=self.dtype,
                name=name,
            )

        x = nn.relu(conv(self.features, "gate")(gate) + conv(self.features, "skip")(skip))
        return skip * nn.sigmoid(conv(1, "coefficients")(x))


class UpConvDecoder(nn.Module):
    """Levels of repetition and convolution, a skip that may pass a gate, and a block.

    Attributes:
      num_classes: channels of the logits.
      block: builds what closes a level, e.g. `DoubleConv`.
      attention: whether skips pass a gate.
      deep_supervision: whether the coarser levels have auxiliary outputs.
      norm: `batch`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    block: Callable[..., nn.Module]
    attention: bool = True
    deep_supervision: bool = False
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        *skips, x = features
        for level in range(len(skips), 0, -1):
            skip = skips[level - 1]
            width = skip.shape[-1]
            x = ConvNormAct(
                width,
                norm=norm,
                activation=activation,
                use_bias=True,
                dtype=self.dtype,
                name=f"up{level}",
            )(resize_nearest(x, skip.shape[1:3]))
            if self.attention:
                skip = AttentionGate(width // 2, norm, self.dtype, name=f"gate{level}")(skip, x)
            x = self.block(
                width, norm=norm, activation=activation, dtype=self.dtype, name=f"level{level}"
            )(jnp.concatenate([skip, x], axis=-1))
            if self.deep_supervision and level > 1 and (train or self.is_initializing()):
                layer = Conv(self.num_classes, (1, 1), dtype=self.dtype, name=f"aux{level}")
                logits = resize_bilinear(layer(x).astype(jnp.float32), images.shape[1:3])
                if train:
                    self.sow("aux_logits", f"level{level}_logits", logits)
        return Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)


def check_gate_norm(norm: str) -> None:
    """Raises a UserError for a norm that would leave a gate's single channel constant."""
    if norm == "layer":
        raise UserError(
            "model.options.norm=layer makes the single channel of an attention gate constant: "
            "choose batch, group or none."
        )


_BLOCK = partial(DoubleConv, use_bias=True)

VARIANTS = {"attention_unet": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 64,
    levels: int = 5,
    deep_supervision: bool = False,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `width` channels on the first level, twice as many on each later one."""
    check_gate_norm(norm)
    widths = [width * 2**level for level in range(levels)]
    return Segmenter(
        UNetEncoder(widths, norm, activation, dtype=dtype, use_bias=True),
        UpConvDecoder(num_classes, _BLOCK, True, deep_supervision, norm, activation, dtype),
        min_size=2 ** (levels - 1),
        small_image_hint=", or a smaller model.options.levels",
        aux_weight=1.0,
    )
