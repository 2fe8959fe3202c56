"""V-Net (Milletari et al. 2016, "V-Net: fully convolutional neural...", arXiv:1606.04797).

Stages of 5x5x5 convolutions whose input is added to their result, strided 2x2x2 convolutions down,
transposed ones up (fig. 2). `vnet` is of volumes, `vnet_2d` the same of images.

By default stages are those of MONAI's network, which is in use. Its departures from the paper:
batch norm, ELU for PReLU, fewer convolutions, and a 5x5x5 convolution to the number of classes
before the last 1x1x1. The paper's stages are `stage_sizes=(1,2,3,3,3)` and `up_sizes=(3,3,2,1)`.
MONAI's dropout is left out. Maps are brought to the size of their skip, so any size works; an
image's channels are repeated, and cut, to be added to the first stage.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.resize import resize_bilinear


class ResidualStage(nn.Module):
    """Convolutions that keep the width, the input added to their result, an activation.

    Attributes:
      size: number of convolutions.
      conv: builds a convolution with its norm and activation, as `ConvNormAct`.
      activation: activation after each sum.
    """

    size: int
    conv: Callable[..., nn.Module]
    activation: Activation

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, ..., c] to the same shape."""
        y = x
        for number in range(1, self.size + 1):
            y = self.conv(x.shape[-1], 5, name=f"conv{number}")(y)
        return self.activation(x + y)


class VNetEncoder(nn.Module):
    """Residual stages, each after the first at half the size and twice the width.

    Attributes:
      width: channels of the first stage.
      stage_sizes: convolutions of each stage; the first always has one.
      norm: `batch`, `group` or `none`.
      activation: activation after each convolution and each sum.
    """

    width: int
    stage_sizes: Sequence[int]
    norm: str = "batch"
    activation: str = "elu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2**stage for stage in range(len(self.stage_sizes)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, (depth,) height, width, channels] to the map of each stage."""
        conv, activation = _parts(self.norm, self.activation, train, self.dtype)
        channels = images.shape[-1]
        repeated = jnp.concatenate([images] * -(-self.width // channels), axis=-1)
        x = conv(self.width, 5, activation=None, name="stage1_conv1")(images)
        x = activation(x + repeated[..., : self.width].astype(x.dtype))
        maps = [x]
        for stage, size in enumerate(self.stage_sizes[1:], start=2):
            x = conv(2 * x.shape[-1], 2, 2, padding=0, name=f"down{stage}")(x)
            x = ResidualStage(size, conv, activation, name=f"stage{stage}")(x)
            maps.append(x)
        return tuple(maps)


class VNetDecoder(nn.Module):
    """Upsampling by 2, concatenation with the skip, a residual stage.

    Attributes:
      num_classes: channels of the logits.
      up_sizes: convolutions of each stage, coarse to fine.
      norm: `batch`, `group` or `none`.
      activation: activation after each convolution and each sum.
    """

    num_classes: int
    up_sizes: Sequence[int]
    norm: str = "batch"
    activation: str = "elu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, (depth,) height, width, num_classes]."""
        conv, activation = _parts(self.norm, self.activation, train, self.dtype)
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        *skips, x = features
        for stage, size in zip(range(len(skips), 0, -1), self.up_sizes, strict=True):
            skip = skips[stage - 1]
            x = ConvTranspose(skip.shape[-1], dtype=self.dtype, name=f"up{stage}")(x)
            x = activation(norm(name=f"up{stage}_norm")(x))
            x = jnp.concatenate([resize_bilinear(x, skip.shape[1:-1]), skip], axis=-1)
            x = ResidualStage(size, conv, activation, name=f"stage{stage}")(x)
        x = conv(self.num_classes, 5, name="last")(x)
        kernel = (1,) * (x.ndim - 2)
        return Conv(self.num_classes, kernel, dtype=self.dtype, name="logits")(x)


def _parts(
    norm: str, activation: str, train: bool, dtype: jnp.dtype
) -> tuple[Callable[..., nn.Module], Activation]:
    """The convolution with norm and activation that all stages are built of; the activation."""
    function = make_activation(activation)
    norms = make_norm(norm, train=train, dtype=dtype)
    return partial(ConvNormAct, norm=norms, activation=function, dtype=dtype), function


VARIANTS = {"vnet": {"spatial_dims": 3}, "vnet_2d": {"spatial_dims": 2}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    spatial_dims: int,
    width: int = 16,
    stage_sizes: Sequence[int] = (1, 1, 2, 3, 2),
    up_sizes: Sequence[int] = (2, 2, 1, 1),
    norm: str = "batch",
    activation: str = "elu",
) -> Segmenter:
    """Builds the network; `width` channels in the first stage, twice as many in each later one."""
    if spatial_dims not in (2, 3):
        raise UserError(f"model.options.spatial_dims={spatial_dims}: choose 2 or 3.")
    if stage_sizes[0] != 1 or len(up_sizes) != len(stage_sizes) - 1:
        raise UserError(
            f"model.options.stage_sizes={stage_sizes} must start with 1 and be one longer than "
            f"up_sizes={up_sizes}."
        )
    if norm == "layer":
        raise UserError(
            "model.options.norm=layer would normalise the logits' few channels: choose batch, "
            "group or none."
        )
    return Segmenter(
        VNetEncoder(width, stage_sizes, norm, activation, dtype),
        VNetDecoder(num_classes, up_sizes, norm, activation, dtype),
        min_size=2 ** (len(stage_sizes) - 1),
        small_image_hint=", or fewer model.options.stage_sizes",
        spatial_dims=spatial_dims,
    )
