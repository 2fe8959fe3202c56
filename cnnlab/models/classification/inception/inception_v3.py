"""Inception v3 (Szegedy et al. 2015, "Rethinking the Inception architecture", arXiv:1512.00567).

Table 1 and figs. 5 to 7 and 10, in the form of the authors' published code, as torchvision has it:
27,161,264 parameters with the auxiliary classifier, 23,834,568 without. It differs from the paper's
table: a 1x1 convolution to 80 channels and a pooling replace two strides of the stem, and the last
block pools its maximum's place by an average. The stem and the reductions are not padded.

The auxiliary classifier (sec. 4), whose layers have batch norm, computes in training only; it puts
its logits into the collection `aux_logits`, and the training step adds its loss with the weight of
0.4 of the authors' code. Deviations: on images of fewer than 299 pixels, where its 5x5 convolution
would not fit, the map is averaged to 5x5 positions instead of by windows; convolutions start from
normal values of variance 2 / fan-out.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classification.inception.inception_block import (
    HIGH,
    PAIR,
    WIDE,
    Branch,
    InceptionBlock,
    make_conv,
    scale_branches,
    scale_channels,
)
from cnnlab.models.classifier import Classifier
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import adaptive_avg_pool, avg_pool, max_pool


def _fifth(pooled: int) -> tuple[int, tuple[Branch, ...], int]:
    """Stride, branches and channels of the pooling branch, as of fig. 5 with one 5x5 kept."""
    return 1, (((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))), pooled


def _sixth(width: int) -> tuple[int, tuple[Branch, ...], int]:
    """The same of fig. 6, with n = 7."""
    three = ((width, 1), (width, WIDE), (192, HIGH))
    five = ((width, 1), (width, HIGH), (width, WIDE), (width, HIGH), (192, WIDE))
    return 1, (((192, 1),), three, five), 192


_SEVENTH = (
    1,
    (((320, 1),), ((384, 1), (384, PAIR)), ((448, 1), (384, 3), (384, PAIR))),
    192,
)
# Blocks under the names of the authors' code; those with stride 2 have no channels of pooling.
_BLOCKS = {
    "5b": _fifth(32),
    "5c": _fifth(64),
    "5d": _fifth(64),
    "6a": (2, (((384, 3),), ((64, 1), (96, 3), (96, 3))), 0),
    "6b": _sixth(128),
    "6c": _sixth(160),
    "6d": _sixth(160),
    "6e": _sixth(192),
    "7a": (2, (((192, 1), (320, 3)), ((192, 1), (192, WIDE), (192, HIGH), (192, 3))), 0),
    "7b": _SEVENTH,
    "7c": _SEVENTH,
}


class InceptionV3(nn.Module):
    """Stem and eleven blocks (table 1).

    Attributes:
      norm: `batch`, `layer`, `group` or `none`.
      norm_place: `before` or `after` the activation.
      activation: activation after each convolution.
      width: share of the paper's channels.
    """

    norm: str = "batch"
    norm_place: str = "before"
    activation: str = "relu"
    width: float = 1.0
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (2, 4, 8, 16, 32)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the last map of each resolution.

        They are those of stem2b, stem4a, 5d, 6e and 7c. Nothing is padded in the stem, so that maps
        are up to five positions smaller than the image divided by their stride.
        """
        conv = make_conv(self.norm, self.norm_place, self.activation, train, self.dtype)

        def scaled(channels: int) -> int:
            return scale_channels(channels, self.width)

        x = conv(scaled(32), 3, 2, padding=0, name="stem1a")(images)
        x = conv(scaled(32), 3, padding=0, name="stem2a")(x)
        maps = [conv(scaled(64), 3, name="stem2b")(x)]
        x = conv(scaled(80), 1, name="stem3b")(max_pool(maps[0], (3, 3), (2, 2)))
        maps.append(conv(scaled(192), 3, padding=0, name="stem4a")(x))
        x = max_pool(maps[-1], (3, 3), (2, 2))
        for name, (stride, branches, pooled) in _BLOCKS.items():
            narrow = scale_branches(branches, self.width)
            pooled = scaled(pooled) if pooled else 0
            x = InceptionBlock(narrow, pooled, stride, conv, name=f"mixed{name}")(x)
            if name in ("5d", "6e", "7c"):
                maps.append(x)
        return tuple(maps)


class AuxiliaryHead(nn.Module):
    """The auxiliary classifier on the map of 6e (sec. 4).

    Attributes:
      num_classes: width of the logits.
      conv: builds a convolution with its norm and activation.
      hidden: channels of its 5x5 convolution.
      channels: channels of its 1x1 convolution.
    """

    num_classes: int
    conv: Callable[..., nn.Module]
    hidden: int = 768
    channels: int = 128
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to logits [batch, num_classes]."""
        x = avg_pool(x, (5, 5), (3, 3)) if min(x.shape[1:3]) >= 17 else adaptive_avg_pool(x, 5)
        x = self.conv(self.channels, 1, name="conv1")(x)
        x = self.conv(self.hidden, 5, padding=0, name="conv2")(x).mean(axis=(1, 2))
        return nn.Dense(self.num_classes, dtype=self.dtype, name="logits")(x)


class InceptionV3Head(nn.Module):
    """Global average pooling, dropout, a linear layer; the auxiliary classifier in training.

    Attributes:
      num_classes: width of the logits.
      aux: whether there is an auxiliary classifier, on the map of stride 16.
      norm: norm of the auxiliary classifier's convolutions.
      dropout_rate: share of the pooled features that training sets to zero.
      aux_hidden: channels of the auxiliary classifier's 5x5 convolution.
    """

    num_classes: int
    aux: bool = True
    norm: str = "batch"
    dropout_rate: float = 0.5
    aux_hidden: int = 768
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps the backbone's five maps to logits [batch, num_classes]."""
        if self.aux and (train or self.is_initializing()):
            conv = make_conv(self.norm, "before", "relu", train, self.dtype)
            head = AuxiliaryHead(
                self.num_classes, conv, self.aux_hidden, dtype=self.dtype, name="aux"
            )
            logits = head(features[3])
            if not self.is_initializing():
                self.sow("aux_logits", "aux_logits", logits.astype(jnp.float32))
        x = features[-1].mean(axis=(1, 2))
        x = Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="logits")(x)


VARIANTS = {"inception_v3": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    aux: bool = True,
    norm: str = "batch",
    norm_place: str = "before",
    activation: str = "relu",
    width: float = 1.0,
    aux_hidden: int = 768,
    dropout_rate: float = 0.5,
) -> Classifier:
    """Builds the network."""
    return Classifier(
        InceptionV3(norm, norm_place, activation, width, dtype),
        InceptionV3Head(num_classes, aux, norm, dropout_rate, aux_hidden, dtype),
        # Smaller ones leave no position after the last reduction.
        min_size=75,
        aux_weight=0.4,
    )
