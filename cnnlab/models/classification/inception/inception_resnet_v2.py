"""Inception-ResNet v2 (Szegedy et al. 2016, "Inception-v4...", arXiv:1602.07261).

Blocks of branches whose joined maps, projected and scaled down, are added to their input (sec. 3.2
and 3.3, figs. 16 to 19), in the form of the authors' published code, as timm has it: 55,843,464
parameters. It differs from the paper: the stem is that of Inception v3, a block with a 5x5
convolution follows it, stages have 10, 20 and 10 blocks and scales of 0.17, 0.1 and 0.2, of which
the last block's is 1, without activation. The stem and the reductions are not padded, and averages
at the border count no zeros. Deviations: convolutions start from normal values of variance
2 / fan-out.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classification.inception.inception_block import (
    HIGH,
    WIDE,
    Branch,
    InceptionBlock,
    check_stage_sizes,
    make_conv,
    scale_branches,
    scale_channels,
)
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, make_activation
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool

# Stride, branches and channels of the pooling branch of the blocks before each stage.
_TRANSITIONS = (
    (1, (((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))), 64),
    (2, (((384, 3),), ((256, 1), (256, 3), (384, 3))), 0),
    (2, (((256, 1), (384, 3)), ((256, 1), (288, 3)), ((256, 1), (288, 3), (320, 3))), 0),
)
# Scale and branches of the blocks of each stage.
_STAGES = (
    (0.17, (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))),
    (0.1, (((192, 1),), ((128, 1), (160, WIDE), (192, HIGH)))),
    (0.2, (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))),
)


class ResidualInceptionBlock(nn.Module):
    """Adds to the input the joined branches, after a 1x1 convolution and times a constant.

    Attributes:
      branches: channels and kernels of each branch.
      scale: factor of the branches (sec. 3.3).
      conv: builds a convolution with its norm and activation.
      activation: activation after the sum; None applies none.
    """

    branches: Sequence[Branch]
    scale: float
    conv: Callable[..., nn.Module]
    activation: Activation | None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        y = InceptionBlock(self.branches, None, 1, self.conv, name="branches")(x)
        project = ConvNormAct(x.shape[-1], 1, activation=None, dtype=self.dtype, name="project")
        x = x + self.scale * project(y)
        return self.activation(x) if self.activation else x


class InceptionResNetV2(nn.Module):
    """Stem, three stages of `ResidualInceptionBlock` with a block before each, a 1x1 convolution.

    Attributes:
      stage_sizes: residual blocks in each stage.
      norm: `batch`, `layer`, `group` or `none`.
      norm_place: `before` or `after` the activation.
      activation: activation after each convolution and each sum.
      width: share of the published channels.
    """

    stage_sizes: tuple[int, int, int] = (10, 20, 10)
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

        They are two of the stem, those of the first two stages and that of the last convolution.
        Nothing is padded in the stem, so that maps are up to five positions smaller than the image
        divided by their stride.
        """
        conv = make_conv(self.norm, self.norm_place, self.activation, train, self.dtype)
        activation = make_activation(self.activation)

        def scaled(channels: int) -> int:
            return scale_channels(channels, self.width)

        x = conv(scaled(32), 3, 2, padding=0, name="stem1")(images)
        x = conv(scaled(32), 3, padding=0, name="stem2")(x)
        maps = [conv(scaled(64), 3, name="stem3")(x)]
        x = conv(scaled(80), 1, name="stem4")(max_pool(maps[0], (3, 3), (2, 2)))
        maps.append(conv(scaled(192), 3, padding=0, name="stem5")(x))
        x = max_pool(maps[-1], (3, 3), (2, 2))
        for stage, size in enumerate(self.stage_sizes, start=1):
            stride, rows, pooled = _TRANSITIONS[stage - 1]
            x = InceptionBlock(
                scale_branches(rows, self.width),
                scaled(pooled) if pooled else 0,
                stride,
                conv,
                count_padding=False,
                name=f"stage{stage}_transition",
            )(x)
            scale, rows = _STAGES[stage - 1]
            for number in range(1, size + 1):
                last = stage == 3 and number == size
                x = ResidualInceptionBlock(
                    scale_branches(rows, self.width),
                    1.0 if last else scale,
                    conv,
                    None if last else activation,
                    self.dtype,
                    name="last_block" if last else f"stage{stage}_block{number}",
                )(x)
            maps.append(x)
        maps[-1] = conv(scaled(1536), 1, name="last_conv")(x)
        return tuple(maps)


VARIANTS = {"inception_resnet_v2": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: tuple[int, int, int] = (10, 20, 10),
    norm: str = "batch",
    norm_place: str = "before",
    activation: str = "relu",
    width: float = 1.0,
    dropout_rate: float = 0.2,
) -> Classifier:
    """Builds the network."""
    check_stage_sizes(stage_sizes)
    return Classifier(
        InceptionResNetV2(stage_sizes, norm, norm_place, activation, width, dtype),
        LinearHead(num_classes, dropout_rate, dtype),
        # Smaller ones leave no position after the last reduction.
        min_size=75,
    )
