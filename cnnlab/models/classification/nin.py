"""Network in network (Lin et al. 2013, arXiv:1312.4400).

- `nin`: for ImageNet, as in "Dive into Deep Learning" (d2l.ai), sec. 8.3, with AlexNet's widths;
  7,439,608 parameters. The paper gives no table of its ImageNet network.
- `nin_cifar`: the paper's network for CIFAR-10 (its published configuration); 966,986 parameters.

The last block has as many channels as there are classes and belongs to the head: the logits are its
means. Deviations: none.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classifier import Classifier
from cnnlab.nn.choices import make_activation, make_norm, make_pool
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.dropout import Dropout


class MlpConv(nn.Module):
    """A convolution and two of 1x1: a small dense network at every position (fig. 1b).

    Attributes:
      features: channels of the three convolutions.
      kernel: kernel size of the first convolution.
      stride: stride of the first convolution.
      padding: padding of the first convolution in pixels.
      norm: `batch`, `layer`, `group` or `none`.
      norm_place: `before` or `after` the activation.
      activation: activation after each convolution.
    """

    features: Sequence[int]
    kernel: int
    stride: int = 1
    padding: int | None = None
    norm: str = "none"
    norm_place: str = "before"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, about height / stride, ..., features[-1]]."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        for number, features in enumerate(self.features, start=1):
            first = number == 1
            x = ConvNormAct(
                features,
                self.kernel if first else 1,
                self.stride if first else 1,
                self.padding if first else None,
                norm=norm,
                activation=make_activation(self.activation),
                norm_place=self.norm_place,
                dtype=self.dtype,
                name=f"conv{number}",
            )(x)
        return x


class NiN(nn.Module):
    """Blocks of `MlpConv`, each closed by 3x3 pooling of stride 2.

    Attributes:
      blocks: (channels, kernel, stride, padding, pooling) of each block.
      drop_between: dropout after every pooling, instead of only before the head.
      dropout_rate: share of values that training sets to zero.
      norm: `batch`, `layer`, `group` or `none`.
      norm_place: `before` or `after` the activation.
      activation: activation after each convolution.
    """

    blocks: Sequence[tuple]
    drop_between: bool = False
    dropout_rate: float = 0.5
    norm: str = "none"
    norm_place: str = "before"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        first = self.blocks[0][2]
        return tuple(first * 2**number for number in range(1, len(self.blocks) + 1))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the pooled map of each block."""
        maps, x = [], images
        for number, (features, kernel, stride, padding, pool) in enumerate(self.blocks, start=1):
            x = MlpConv(
                features,
                kernel,
                stride,
                padding,
                self.norm,
                self.norm_place,
                self.activation,
                self.dtype,
                name=f"block{number}",
            )(x, train=train)
            x = make_pool(pool)(x, (3, 3), (2, 2))
            if self.drop_between or number == len(self.blocks):
                x = Dropout(self.dropout_rate, deterministic=not train)(x)
            maps.append(x)
        return tuple(maps)


class MlpConvHead(nn.Module):
    """A last `MlpConv` with one channel a class, and global average pooling (sec. 3.2).

    Attributes:
      num_classes: width of the logits.
      hidden: channels of its convolutions before the last.
      activation: activation after each convolution, the last too.
    """

    num_classes: int
    hidden: Sequence[int] | None = None
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        hidden = self.hidden or (self.num_classes, self.num_classes)
        block = MlpConv(
            (*hidden, self.num_classes),
            3,
            activation=self.activation,
            dtype=self.dtype,
            name="block",
        )
        return block(features[-1], train=train).mean(axis=(1, 2))


VARIANTS = {
    "nin": {
        "blocks": (
            ((96, 96, 96), 11, 4, 0, "max"),
            ((256, 256, 256), 5, 1, 2, "max"),
            ((384, 384, 384), 3, 1, 1, "max"),
        ),
    },
    "nin_cifar": {
        "blocks": (((192, 160, 96), 5, 1, 2, "max"), ((192, 192, 192), 5, 1, 2, "avg")),
        "drop_between": True,
        "head_hidden": (192, 192),
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    blocks: Sequence[tuple],
    drop_between: bool = False,
    head_hidden: Sequence[int] | None = None,
    norm: str = "none",
    norm_place: str = "before",
    activation: str = "relu",
    dropout_rate: float = 0.5,
) -> Classifier:
    """Builds the network."""
    _, kernel, stride, padding, _ = blocks[0]
    positions = 1
    for _ in blocks:
        positions = 2 * (positions - 1) + 3
    return Classifier(
        NiN(blocks, drop_between, dropout_rate, norm, norm_place, activation, dtype),
        MlpConvHead(num_classes, head_hidden, activation, dtype),
        min_size=stride * (positions - 1) + kernel - 2 * padding,
    )
