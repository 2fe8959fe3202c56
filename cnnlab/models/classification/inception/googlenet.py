"""GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842).

- `googlenet_v1`: the paper's table 1: no batch norm, real 5x5 convolutions; 6,998,552 parameters
  without the auxiliary classifiers. Local response normalization is left out, as in d2l.ai, sec.
  8.4.
- `googlenet`: torchvision's: batch norm, 3x3 convolutions instead of 5x5, poolings that keep a
  last partial window; 13,004,888 parameters with the auxiliary classifiers, 6,624,904 without.

The auxiliary classifiers (sec. 5) compute in training only; they put their logits into the
collection `aux_logits`, and the training step adds their losses with the paper's weight of 0.3.
Their feature maps, of 4a and 4d, are among the backbone's, so strides repeat.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classification.inception.inception_block import make_conv
from cnnlab.models.classifier import Classifier
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import adaptive_avg_pool, max_pool, max_pool_ceil

# Channels of 1x1 | before 3x3, 3x3 | before 5x5, 5x5 | after pooling (table 1).
_BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Inception(nn.Module):
    """Four branches side by side, joined along the channels (fig. 2b).

    Attributes:
      channels: six widths, in the order of table 1.
      large_kernel: kernel size of the third branch: 5 in the paper, 3 in torchvision.
      conv: builds a convolution with its norm and activation.
    """

    channels: tuple[int, ...]
    large_kernel: int
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, sum of the four branches]."""
        one, reduce3, three, reduce5, five, pooled = self.channels
        branch1 = self.conv(one, 1, name="branch1")(x)
        branch2 = self.conv(reduce3, 1, name="branch2_reduce")(x)
        branch2 = self.conv(three, 3, name="branch2")(branch2)
        branch3 = self.conv(reduce5, 1, name="branch3_reduce")(x)
        branch3 = self.conv(five, self.large_kernel, name="branch3")(branch3)
        branch4 = max_pool(x, (3, 3), (1, 1), ((1, 1), (1, 1)))
        branch4 = self.conv(pooled, 1, name="branch4")(branch4)
        return jnp.concatenate([branch1, branch2, branch3, branch4], axis=-1)


class GoogLeNet(nn.Module):
    """Stem and nine inception blocks.

    Attributes:
      large_kernel: kernel size of the third branch of each block.
      ceil_pool: poolings keep a last partial window (torchvision) instead of padding by one.
      norm: `batch`, `layer`, `group` or `none`.
      norm_place: `before` or `after` the activation.
      activation: activation after each convolution.
      width: share of the paper's channels.
    """

    large_kernel: int = 5
    ceil_pool: bool = False
    norm: str = "none"
    norm_place: str = "before"
    activation: str = "relu"
    width: float = 1.0
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (2, 4, 8, 16, 16, 16, 32)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the maps of conv1, conv3, 3b, 4a, 4d, 4e and 5b."""
        conv = make_conv(self.norm, self.norm_place, self.activation, train, self.dtype)

        def pool(x: jax.Array, window: int = 3) -> jax.Array:
            if self.ceil_pool:
                return max_pool_ceil(x, window, 2)
            return max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))

        def scaled(channels: int) -> int:
            return max(1, round(self.width * channels))

        maps = [conv(scaled(64), 7, 2, name="conv1")(images)]
        x = conv(scaled(64), 1, name="conv2")(pool(maps[0]))
        maps.append(conv(scaled(192), 3, name="conv3")(x))
        x = pool(maps[-1])
        for name, channels in _BLOCKS.items():
            widths = tuple(map(scaled, channels))
            x = Inception(widths, self.large_kernel, conv, name=f"inception{name}")(x)
            if name in ("3b", "4a", "4d", "4e", "5b"):
                maps.append(x)
            if name == "3b":
                x = pool(x)
            elif name == "4e":
                x = pool(x, window=2)
        return tuple(maps)


class AuxiliaryHead(nn.Module):
    """Auxiliary classifier on an inner map (sec. 5).

    Attributes:
      num_classes: width of the logits.
      conv: builds a convolution with its norm and activation.
      hidden: width of its dense layer.
      channels: channels of its 1x1 convolution.
    """

    num_classes: int
    conv: Callable[..., nn.Module]
    hidden: int = 1024
    channels: int = 128
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [batch, height, width, c] to logits [batch, num_classes]."""
        x = self.conv(self.channels, 1, name="conv")(adaptive_avg_pool(x, 4))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name="dense1")(x))
        x = Dropout(0.7, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="logits")(x)


class GoogLeNetHead(nn.Module):
    """Global average pooling, dropout, a linear layer; auxiliary classifiers in training.

    Attributes:
      num_classes: width of the logits.
      aux: whether there are auxiliary classifiers, on the maps of 4a and 4d.
      norm: norm of the auxiliary classifiers' convolutions.
      dropout_rate: share of the pooled features that training sets to zero.
      aux_hidden: width of the auxiliary classifiers' dense layer.
    """

    num_classes: int
    aux: bool = True
    norm: str = "none"
    dropout_rate: float = 0.2
    aux_hidden: int = 1024
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps the backbone's seven maps to logits [batch, num_classes]."""
        if self.aux and (train or self.is_initializing()):
            conv = make_conv(self.norm, "before", "relu", train, self.dtype)
            for name, x in (("aux1", features[3]), ("aux2", features[4])):
                logits = AuxiliaryHead(
                    self.num_classes, conv, self.aux_hidden, dtype=self.dtype, name=name
                )(x, train=train)
                if not self.is_initializing():
                    self.sow("aux_logits", f"{name}_logits", logits.astype(jnp.float32))
        x = features[-1].mean(axis=(1, 2))
        x = Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="logits")(x)


VARIANTS = {
    "googlenet_v1": {"dropout_rate": 0.4, "aux": False},
    "googlenet": {"large_kernel": 3, "ceil_pool": True, "norm": "batch"},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    large_kernel: int = 5,
    ceil_pool: bool = False,
    aux: bool = True,
    norm: str = "none",
    norm_place: str = "before",
    activation: str = "relu",
    width: float = 1.0,
    aux_hidden: int = 1024,
    dropout_rate: float = 0.2,
) -> Classifier:
    """Builds the network."""
    return Classifier(
        GoogLeNet(large_kernel, ceil_pool, norm, norm_place, activation, width, dtype),
        GoogLeNetHead(num_classes, aux, norm, dropout_rate, aux_hidden, dtype),
        min_size=17 if ceil_pool else 2,
    )
