"""DenseNet (Huang et al. 2017, "Densely connected convolutional networks", arXiv:1608.06993).

- `densenet121`, `densenet161`, `densenet169`, `densenet201`: for ImageNet, the paper's table 1.
- `densenet_bc_100_12` and others: for CIFAR, table 2, named after depth and growth rate.
- `densenet_d2l`: as in "Dive into Deep Learning" (d2l.ai), sec. 8.7: four layers in each block, no
  bottleneck, convolutions with biases.

Deviations: none.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, Identity, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct, he_init
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import avg_pool, max_pool


class DenseLayer(nn.Module):
    """Norm, activation and convolution, 1x1 then 3x3; the result joins the input (sec. 3).

    Attributes:
      growth_rate: channels that this layer adds; k in the paper.
      bottleneck: channels of the 1x1 convolution in multiples of `growth_rate`; 0 leaves it out.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after each norm.
      dropout: builds the dropout after each convolution; train or eval mode is bound.
      use_bias: whether the convolutions have biases.
    """

    growth_rate: int
    bottleneck: int
    norm: Callable[..., nn.Module]
    activation: Activation
    dropout: Callable[[], nn.Module]
    use_bias: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height, width, c + growth_rate]."""
        convs = [(self.growth_rate, 3)]
        if self.bottleneck:
            convs.insert(0, (self.bottleneck * self.growth_rate, 1))
        y = x
        for number, (features, kernel) in enumerate(convs, start=1):
            y = self.activation(self.norm(name=f"norm{number}")(y))
            y = Conv(
                features,
                (kernel, kernel),
                padding=kernel // 2,
                use_bias=self.use_bias,
                kernel_init=he_init,
                dtype=self.dtype,
                name=f"conv{number}",
            )(y)
            y = self.dropout()(y)
        return jnp.concatenate([x, y], axis=-1)


class Transition(nn.Module):
    """Norm, activation, 1x1 convolution to half the channels, 2x2 average pooling (sec. 3).

    The attributes are those of `DenseLayer`.
    """

    norm: Callable[..., nn.Module]
    activation: Activation
    dropout: Callable[[], nn.Module]
    use_bias: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps [batch, height, width, c] to two maps.

        Returns:
          The map after norm and activation, of the same shape: what the block before has to offer
          to decoders; and the map [batch, height / 2, width / 2, c / 2] for the next block.
        """
        activated = self.activation(self.norm(name="norm")(x))
        y = Conv(
            x.shape[-1] // 2,
            (1, 1),
            use_bias=self.use_bias,
            kernel_init=he_init,
            dtype=self.dtype,
            name="conv",
        )(activated)
        return activated, avg_pool(self.dropout()(y), (2, 2), (2, 2))


class DenseNet(nn.Module):
    """Stem and dense blocks with transitions between them.

    Attributes:
      stage_sizes: layers in each dense block.
      growth_rate: channels that each layer adds; the stem has twice as many.
      bottleneck: channels of each layer's 1x1 convolution in multiples of `growth_rate`; 0 leaves
        it out.
      stem: `imagenet` (7x7 stride 2, norm, activation, 3x3 max pooling stride 2) or `cifar` (3x3
        stride 1; the norm is left to the first layer).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each norm.
      use_bias: whether all convolutions have biases.
      dropout_rate: share of values that training sets to zero after each convolution but the first;
        0.2 in the paper on CIFAR without augmentation (sec. 4.2).
      final_activation: whether the last map is activated after its norm;
        segmentation_models_pytorch's encoders omit that.
    """

    stage_sizes: Sequence[int]
    growth_rate: int = 32
    bottleneck: int = 4
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    use_bias: bool = False
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    final_activation: bool = True

    @property
    def strides(self) -> tuple[int, ...]:
        first = (2, 4) if self.stem == "imagenet" else (1,)
        return (*first, *(first[-1] * 2**block for block in range(1, len(self.stage_sizes))))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the maps that `strides` names.

        With the imagenet stem the first is the stem's before pooling; the others are those of the
        dense blocks after the norm and activation that follow each.
        """
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        shared = {
            "norm": norm,
            "activation": activation,
            "dropout": partial(Dropout, self.dropout_rate, deterministic=not train),
            "use_bias": self.use_bias,
            "dtype": self.dtype,
        }
        imagenet = self.stem == "imagenet"
        x = ConvNormAct(
            2 * self.growth_rate,
            kernel=7 if imagenet else 3,
            stride=2 if imagenet else 1,
            norm=norm if imagenet else Identity,
            activation=activation if imagenet else None,
            use_bias=self.use_bias,
            dtype=self.dtype,
            name="stem",
        )(images)
        maps = []
        if imagenet:
            maps.append(x)
            x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for block, size in enumerate(self.stage_sizes, start=1):
            for number in range(1, size + 1):
                x = DenseLayer(
                    self.growth_rate, self.bottleneck, **shared, name=f"block{block}_layer{number}"
                )(x)
            if block < len(self.stage_sizes):
                activated, x = Transition(**shared, name=f"transition{block}")(x)
                maps.append(activated)
        x = norm(name="final_norm")(x)
        return (*maps, activation(x) if self.final_activation else x)


VARIANTS = {
    "densenet121": {"stage_sizes": (6, 12, 24, 16)},
    "densenet161": {"stage_sizes": (6, 12, 36, 24), "growth_rate": 48},
    "densenet169": {"stage_sizes": (6, 12, 32, 32)},
    "densenet201": {"stage_sizes": (6, 12, 48, 32)},
    "densenet_bc_100_12": {"stage_sizes": (16, 16, 16), "growth_rate": 12, "stem": "cifar"},
    "densenet_bc_190_40": {"stage_sizes": (31, 31, 31), "growth_rate": 40, "stem": "cifar"},
    "densenet_bc_250_24": {"stage_sizes": (41, 41, 41), "growth_rate": 24, "stem": "cifar"},
    "densenet_d2l": {"stage_sizes": (4, 4, 4, 4), "bottleneck": 0, "use_bias": True},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    growth_rate: int = 32,
    bottleneck: int = 4,
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    use_bias: bool = False,
    dropout_rate: float = 0.0,
    final_activation: bool = True,
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (7x7/2) or cifar (3x3/1).")
    backbone = DenseNet(
        stage_sizes,
        growth_rate,
        bottleneck,
        stem,
        norm,
        activation,
        use_bias,
        dropout_rate,
        dtype,
        final_activation,
    )
    # As of ResNet: 32 pixels would run with the imagenet stem, with one pixel left, and learn
    # little. With the other stem, each pooling needs two pixels.
    min_size, hint = 2 ** (len(stage_sizes) - 1), ""
    if stem == "imagenet":
        min_size, hint = 33, ", or model.options.stem=cifar"
    return Classifier(backbone, LinearHead(num_classes, dtype=dtype), min_size, hint)
