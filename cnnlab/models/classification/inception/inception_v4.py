"""Inception v4 (Szegedy et al. 2016, "Inception-v4, Inception-ResNet and...", arXiv:1602.07261).

The stem of fig. 3 and the blocks of figs. 4 to 8 and table 1, in the form of the authors' published
code, as timm has it: 42,679,816 parameters. The stem and the reductions are not padded, and
averages at the border count no zeros. Deviations: convolutions start from normal values of variance
2 / fan-out.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classification.inception.inception_block import (
    HIGH,
    PAIR,
    WIDE,
    InceptionBlock,
    check_stage_sizes,
    make_conv,
    scale_branches,
    scale_channels,
)
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.pool import max_pool

# Stride, branches and channels of the pooling branch; of stages "a", "b", "c" and the reductions.
_A = (1, (((96, 1),), ((64, 1), (96, 3)), ((64, 1), (96, 3), (96, 3))), 96)
_REDUCTION_A = (2, (((384, 3),), ((192, 1), (224, 3), (256, 3))), 0)
_B = (
    1,
    (
        ((384, 1),),
        ((192, 1), (224, WIDE), (256, HIGH)),
        ((192, 1), (192, HIGH), (224, WIDE), (224, HIGH), (256, WIDE)),
    ),
    128,
)
_REDUCTION_B = (2, (((192, 1), (192, 3)), ((256, 1), (256, WIDE), (320, HIGH), (320, 3))), 0)
_C = (
    1,
    (
        ((256, 1),),
        ((384, 1), (256, PAIR)),
        ((384, 1), (448, (3, 1)), (512, (1, 3)), (256, PAIR)),
    ),
    256,
)


class InceptionV4(nn.Module):
    """Stem, and three stages of equal blocks with a reduction between them (fig. 9).

    Attributes:
      stage_sizes: blocks in the stages of Inception-A, -B and -C.
      norm: `batch`, `layer`, `group` or `none`.
      norm_place: `before` or `after` the activation.
      activation: activation after each convolution.
      width: share of the paper's channels.
    """

    stage_sizes: tuple[int, int, int] = (4, 7, 3)
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

        They are two of the stem, and those of the stages. Nothing is padded in the stem, so that
        maps are up to five positions smaller than the image divided by their stride.
        """
        conv = make_conv(self.norm, self.norm_place, self.activation, train, self.dtype)

        def scaled(channels: int) -> int:
            return scale_channels(channels, self.width)

        x = conv(scaled(32), 3, 2, padding=0, name="stem1")(images)
        x = conv(scaled(32), 3, padding=0, name="stem2")(x)
        maps = [conv(scaled(64), 3, name="stem3")(x)]
        pooled = max_pool(maps[0], (3, 3), (2, 2))
        x = conv(scaled(96), 3, 2, padding=0, name="stem4")(maps[0])
        maps.append(jnp.concatenate([pooled, x], axis=-1))
        branches = []
        for number, kernels in enumerate(((1,), (1, WIDE, HIGH)), start=1):
            x = maps[-1]
            for step, kernel in enumerate(kernels, start=1):
                x = conv(scaled(64), kernel, name=f"stem5_branch{number}_conv{step}")(x)
            last = f"stem5_branch{number}_conv{len(kernels) + 1}"
            branches.append(conv(scaled(96), 3, padding=0, name=last)(x))
        x = jnp.concatenate(branches, axis=-1)
        strided = conv(scaled(192), 3, 2, padding=0, name="stem6")(x)
        x = jnp.concatenate([strided, max_pool(x, (3, 3), (2, 2))], axis=-1)
        stages = ((None, _A), (_REDUCTION_A, _B), (_REDUCTION_B, _C))
        for stage, (reduction, block) in enumerate(stages, start=1):
            blocks = {f"stage{stage}_reduction": reduction} if reduction else {}
            blocks |= {
                f"stage{stage}_block{n + 1}": block for n in range(self.stage_sizes[stage - 1])
            }
            for name, (stride, rows, channels) in blocks.items():
                x = InceptionBlock(
                    scale_branches(rows, self.width),
                    scaled(channels) if channels else 0,
                    stride,
                    conv,
                    count_padding=False,
                    name=name,
                )(x)
            maps.append(x)
        return tuple(maps)


VARIANTS = {"inception_v4": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: tuple[int, int, int] = (4, 7, 3),
    norm: str = "batch",
    norm_place: str = "before",
    activation: str = "relu",
    width: float = 1.0,
    dropout_rate: float = 0.2,
) -> Classifier:
    """Builds the network."""
    check_stage_sizes(stage_sizes)
    return Classifier(
        InceptionV4(stage_sizes, norm, norm_place, activation, width, dtype),
        LinearHead(num_classes, dropout_rate, dtype),
        # Smaller ones leave no position after the last reduction.
        min_size=75,
    )
