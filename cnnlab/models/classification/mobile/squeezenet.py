"""SqueezeNet (Iandola et al. 2016, "AlexNet-level accuracy with 50x fewer...", arXiv:1602.07360).

- `squeezenet1_0`: table 1 of the paper.
- `squeezenet1_1`: from the authors' repository; a smaller stem and earlier pooling, 2.4 times fewer
  operations.

Deviations: the convolution that gives the logits is not padded, as in torchvision; convolutions
start from normal values of variance 2 / fan-out.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classifier import Classifier
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import max_pool_ceil


class Fire(nn.Module):
    """A 1x1 convolution to few channels; 1x1 and 3x3 convolutions of them side by side (fig. 1).

    Attributes:
      squeezed: channels of the first convolution.
      expanded: channels of each of the other two.
      conv: builds a convolution with its norm and activation.
    """

    squeezed: int
    expanded: int
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, 2 * expanded]."""
        x = self.conv(self.squeezed, 1, name="squeeze")(x)
        one = self.conv(self.expanded, 1, name="expand1x1")(x)
        three = self.conv(self.expanded, 3, name="expand3x3")(x)
        return jnp.concatenate([one, three], axis=-1)


class SqueezeNet(nn.Module):
    """Stem, and stages of `Fire` modules with a pooling before each.

    Attributes:
      stem_width: channels of the stem's convolution, of stride 2 and without padding.
      stem_kernel: its height and width.
      stages: squeezed and expanded channels of each module of each stage.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    stem_width: int
    stem_kernel: int
    stages: Sequence[Sequence[tuple[int, int]]]
    norm: str = "none"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2**stage for stage in range(1, len(self.stages) + 2))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the maps of the stem and of each stage."""
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=make_activation(self.activation),
            dtype=self.dtype,
        )
        maps = [conv(self.stem_width, self.stem_kernel, 2, padding=0, name="stem")(images)]
        for stage, modules in enumerate(self.stages, start=1):
            x = max_pool_ceil(maps[-1], 3, 2)
            for number, (squeezed, expanded) in enumerate(modules, start=1):
                x = Fire(squeezed, expanded, conv, name=f"stage{stage}_block{number}")(x)
            maps.append(x)
        return tuple(maps)


class SqueezeNetHead(nn.Module):
    """Dropout, a 1x1 convolution to the classes, ReLU, and the mean over all positions.

    Attributes:
      num_classes: width of the logits, which are never negative.
      dropout_rate: share of the map's values that training sets to zero.
    """

    num_classes: int
    dropout_rate: float = 0.5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        x = Dropout(self.dropout_rate, deterministic=not train)(features[-1])
        init = nn.initializers.normal(0.01)
        scores = Conv(self.num_classes, (1, 1), kernel_init=init, dtype=self.dtype, name="logits")(
            x
        )
        return nn.relu(scores).mean(axis=(1, 2))


VARIANTS = {
    "squeezenet1_0": {
        "stem_width": 96,
        "stem_kernel": 7,
        "stages": (
            ((16, 64), (16, 64), (32, 128)),
            ((32, 128), (48, 192), (48, 192), (64, 256)),
            ((64, 256),),
        ),
    },
    "squeezenet1_1": {
        "stem_width": 64,
        "stem_kernel": 3,
        "stages": (
            ((16, 64), (16, 64)),
            ((32, 128), (32, 128)),
            ((48, 192), (48, 192), (64, 256), (64, 256)),
        ),
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stem_width: int,
    stem_kernel: int,
    stages: Sequence[Sequence[tuple[int, int]]],
    norm: str = "none",
    activation: str = "relu",
    dropout_rate: float = 0.5,
) -> Classifier:
    """Builds the network."""
    backbone = SqueezeNet(stem_width, stem_kernel, stages, norm, activation, dtype)
    # Each pooling needs two positions to leave one.
    positions = 2 ** len(stages)
    min_size = 2 * (positions - 1) + stem_kernel
    return Classifier(backbone, SqueezeNetHead(num_classes, dropout_rate, dtype), min_size)
