"""R2U-Net (Alom et al. 2018, "Recurrent residual convolutional neural...", arXiv:1802.06955).

A U-Net whose units are two recurrent convolutions and a shortcut (fig. 4d): a recurrent convolution
sees its input again, and its own result added to it, at each of its steps, with the same weights.

- `r2_unet`: the paper's network with t=2 steps.
- `r2_attention_unet`: with the gates of `attention_unet`, as in LeeJunHyun's PyTorch code.

Deviations: batch norm after every convolution, one for all steps of a recurrence, and the decoder
of that code, with repetition and a 3x3 convolution for upsampling.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.unet_family.attention_unet import UpConvDecoder, check_gate_norm
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool


class RecurrentResidual(nn.Module):
    """A 1x1 convolution, two recurrent 3x3 convolutions, and the sum of both (sec. III).

    Attributes:
      features: channels of the output.
      norm: builds a normalization layer.
      activation: activation after each step of a recurrence.
      steps: number of times that a recurrent convolution gets its own result; t in the paper.
    """

    features: int
    norm: Callable[..., nn.Module]
    activation: Activation = nn.relu
    steps: int = 2
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, features]."""
        shortcut = Conv(self.features, (1, 1), dtype=self.dtype, name="shortcut")(x)
        x = shortcut
        for number in (1, 2):
            conv = ConvNormAct(
                self.features,
                norm=self.norm,
                activation=self.activation,
                use_bias=True,
                dtype=self.dtype,
                name=f"recurrent{number}",
            )
            y = conv(x)
            for _ in range(self.steps):
                y = conv(x + y)
            x = y
        return x + shortcut


class R2UNetEncoder(nn.Module):
    """Recurrent residual units with 2x2 max pooling between them.

    Attributes:
      widths: channels of each level, fine to coarse.
      steps: number of steps of each recurrence.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each step.
    """

    widths: Sequence[int]
    steps: int = 2
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2**level for level in range(len(self.widths)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the map of each level."""
        maps, x = [], images
        for level, width in enumerate(self.widths, start=1):
            x = x if level == 1 else max_pool(x, (2, 2), (2, 2))
            x = RecurrentResidual(
                width,
                make_norm(self.norm, train=train, dtype=self.dtype),
                make_activation(self.activation),
                self.steps,
                self.dtype,
                name=f"level{level}",
            )(x)
            maps.append(x)
        return tuple(maps)


VARIANTS = {"r2_unet": {"attention": False}, "r2_attention_unet": {"attention": True}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    attention: bool,
    width: int = 64,
    levels: int = 5,
    steps: int = 2,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `width` channels on the first level, twice as many on each later one."""
    if attention:
        check_gate_norm(norm)
    widths = [width * 2**level for level in range(levels)]
    block = partial(RecurrentResidual, steps=steps)
    return Segmenter(
        R2UNetEncoder(widths, steps, norm, activation, dtype),
        UpConvDecoder(num_classes, block, attention, False, norm, activation, dtype),
        min_size=2 ** (levels - 1),
        small_image_hint=", or a smaller model.options.levels",
    )
