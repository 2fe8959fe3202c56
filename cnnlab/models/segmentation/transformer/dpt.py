"""DPT (Ranftl et al. 2021, "Vision transformers for dense prediction", arXiv:2103.13413).

Tokens of four blocks of a vision transformer are read out with the class token, reassembled as maps
of 1/4 to 1/32 of the image's size, and fused from coarse to fine (fig. 1). As in
segmentation_models_pytorch 0.6.0: the blocks are spread evenly over the depth, and the auxiliary
head of the paper's appendix is left out. Images that patches do not divide are padded, and the
logits cut to the image's size; position embeddings are interpolated (see `vit`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.catalog import model_options
from cnnlab.models.segmentation.encoder_decoder.encoders import make_encoder, segment_with
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import ACTIVATIONS, Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.resize import resize_bilinear

_FINEST = 4


class Reassemble(nn.Module):
    """A 1x1 convolution, a change of resolution, a 3x3 convolution (sec. 3.1).

    Attributes:
      hidden: channels of the first two.
      features: channels of the output.
      factor: by which height and width grow; below 1 they shrink.
    """

    hidden: int
    features: int
    factor: float
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, about height * factor, ..., features]."""
        x = Conv(self.hidden, (1, 1), dtype=self.dtype, name="project")(x)
        if self.factor > 1:
            step = int(self.factor)
            x = ConvTranspose(self.hidden, kernel=step, stride=step, dtype=self.dtype, name="up")(x)
        elif self.factor < 1:
            step = int(1 / self.factor)
            x = Conv(self.hidden, (3, 3), step, padding=1, dtype=self.dtype, name="down")(x)
        return Conv(
            self.features, (3, 3), padding=1, use_bias=False, dtype=self.dtype, name="conv"
        )(x)


class ResidualUnit(nn.Module):
    """Activation, 3x3 convolution and norm, twice, added to the input.

    Attributes:
      norm: builds a normalization layer.
      activation: activation before each convolution.
    """

    norm: Callable[..., nn.Module]
    activation: Activation
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        y = x
        for number in (1, 2):
            y = ConvNormAct(
                x.shape[-1],
                norm=self.norm,
                activation=None,
                use_bias=False,
                dtype=self.dtype,
                name=f"conv{number}",
            )(self.activation(y))
        return x + y


class Fusion(nn.Module):
    """A residual unit, the coarser map added, another unit, upsampling, a 1x1 convolution.

    The attributes are those of `ResidualUnit`.
    """

    norm: Callable[..., nn.Module]
    activation: Activation
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, coarser: jax.Array | None, size: Sequence[int]) -> jax.Array:
        """Maps [batch, height, width, c] and a coarser map's fusion to [batch, *size, c]."""
        unit = partial(ResidualUnit, self.norm, self.activation, self.dtype)
        x = unit(name="unit1")(x)
        if coarser is not None:
            x = x + coarser
        x = resize_bilinear(unit(name="unit2")(x), size, align_corners=True)
        return Conv(x.shape[-1], (1, 1), dtype=self.dtype, name="project")(x)


class DPTDecoder(nn.Module):
    """Readout, reassembly and fusion of each block's tokens, and the logits.

    Attributes:
      num_classes: channels of the logits.
      patch_size: height and width of the encoder's patches in pixels.
      widths: channels in which each block's tokens are reassembled.
      width: channels of the fusion.
      dropout_rate: dropout rate before the logits.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation of the fusion.
    """

    num_classes: int
    patch_size: int
    widths: Sequence[int] = (256, 512, 1024, 1024)
    width: int = 256
    dropout_rate: float = 0.1
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps class tokens and maps of blocks to logits [batch, height, width, num_classes]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        levels = len(self.widths)
        maps = []
        for number, (token, x) in enumerate(
            zip(features[:levels], features[-levels:], strict=True), start=1
        ):
            x = jnp.concatenate([x, jnp.broadcast_to(token, x.shape)], axis=-1)
            x = nn.Dense(token.shape[-1], dtype=self.dtype, name=f"readout{number}")(x)
            maps.append(
                Reassemble(
                    self.widths[number - 1],
                    self.width,
                    self.patch_size / (_FINEST * 2 ** (number - 1)),
                    self.dtype,
                    name=f"reassemble{number}",
                )(ACTIVATIONS["gelu"](x))
            )
        x = None
        for number in range(1, levels + 1):
            level = maps[levels - number]
            size = maps[levels - number - 1].shape[1:3]
            if number == levels:
                size = [2 * extent for extent in level.shape[1:3]]
            x = Fusion(norm, activation, self.dtype, name=f"fuse{number}")(level, x, size)
        x = ConvNormAct(
            self.width,
            norm=norm,
            activation=activation,
            use_bias=False,
            dtype=self.dtype,
            name="conv",
        )(x)
        x = Dropout(self.dropout_rate, deterministic=not train)(x)
        x = Conv(self.num_classes, (1, 1), dtype=self.dtype, name="logits")(x)
        height, width = images.shape[1:3]
        padded = [self.patch_size * extent for extent in features[-1].shape[1:3]]
        x = resize_bilinear(x.astype(jnp.float32), padded, align_corners=True)
        return x[:, :height, :width]


VARIANTS = {"dpt": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    encoder: str = "vit_b_16",
    encoder_options: Mapping[str, Any] | None = None,
    widths: Sequence[int] = (256, 512, 1024, 1024),
    width: int = 256,
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.1,
) -> Segmenter:
    """Builds the network; `encoder` is a ViT, of which as many blocks are read as `widths` has."""
    known = {**model_options(encoder), **(encoder_options or {})}
    if "map_blocks" not in known:
        raise UserError(
            f"model.options.encoder={encoder} has no class token: DPT reads the blocks of a vision "
            "transformer, e.g. vit_b_16."
        )
    depth, levels = known["depth"], len(widths)
    blocks = tuple(max(1, int(depth / levels * number)) for number in range(1, levels + 1))
    own = dict(encoder_options or {}) | {"map_blocks": blocks}
    network = make_encoder(encoder, own, dtype)
    head = DPTDecoder(
        num_classes,
        network.backbone.patch_size,
        widths,
        width,
        dropout_rate,
        norm,
        activation,
        dtype,
    )
    return segment_with(network, head)
