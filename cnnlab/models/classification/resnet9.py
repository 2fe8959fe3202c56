"""ResNet-9, the network of speed records on CIFAR-10 (Page 2018, "How to train your ResNet").

Four 3x3 convolutions, of which the last three end in 2x2 max pooling, and a residual pair after the
second and the fourth; the logits are scaled down, so that training starts with a flat softmax.
6,573,130 parameters with 10 classes. Deviations: none.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classifier import Classifier
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool


class ResNet9(nn.Module):
    """Convolutions, poolings and two residual pairs.

    Attributes:
      width: channels of the first convolution; each later one has twice as many.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
    """

    width: int = 64
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (1, 2, 4, 8)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to maps at full, half, fourth and eighth size."""
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=make_activation(self.activation),
            dtype=self.dtype,
        )
        x = conv(self.width, name="stem")(images)
        maps = [x]
        for stage in (1, 2, 3):
            x = conv(self.width * 2**stage, name=f"stage{stage}")(x)
            x = max_pool(x, (2, 2), (2, 2))
            if stage != 2:
                y = conv(x.shape[-1], name=f"stage{stage}_residual1")(x)
                x = x + conv(x.shape[-1], name=f"stage{stage}_residual2")(y)
            maps.append(x)
        return tuple(maps)


class ScaledHead(nn.Module):
    """Global max pooling and a linear layer, times a constant.

    Attributes:
      num_classes: width of the logits.
      scale: factor of the logits.
    """

    num_classes: int
    scale: float = 0.125
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        x = features[-1].max(axis=(1, 2))
        return self.scale * nn.Dense(self.num_classes, dtype=self.dtype, name="logits")(x)


VARIANTS = {"resnet9": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 64,
    norm: str = "batch",
    activation: str = "relu",
    logit_scale: float = 0.125,
) -> Classifier:
    """Builds the network."""
    return Classifier(
        ResNet9(width, norm, activation, dtype),
        ScaledHead(num_classes, logit_scale, dtype),
        min_size=8,
    )
