"""EfficientNet (Tan & Le 2019, "Rethinking model scaling for CNNs", arXiv:1905.11946).

- `efficientnet_b0` to `efficientnet_b3`: table 1 scaled as in sec. 3.3, rounded by the published
  code. Deviations: convolutions pad alike on all sides and batch norm adds 1e-5, as in torchvision;
  the original networks have `padding=SAME` and `norm_epsilon=1e-3`. Their batch norm keeps 0.99 of
  its running statistics, this 0.9.
- `tf_efficientnet_lite0`: for mobile devices, from the authors' repository: no squeeze-and-
  excitation, ReLU6, the original padding and epsilon. Larger ones (`width`, `depth`) do not scale
  stem, last convolution, nor blocks in the first and last stage.

Convolutions start from normal values of variance 2 / fan-out, the logits' layer from uniform values
up to 1 / sqrt(classes), as in torchvision.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.inverted_residual import (
    InvertedResidual,
    level_strides,
    round_channels,
    stochastic_depth,
)

_STEM_CHANNELS = 32
_LAST_EXPANSION = 4
_SQUEEZE_RATIO = 4

# Table 1: expansion, kernel, channels, blocks, stride of the first block.
_STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


class EfficientNet(nn.Module):
    """Stem, stages of inverted residual blocks, a last 1x1 convolution.

    Attributes:
      stages: rows of expansion, kernel, channels, blocks and stride of the first block.
      width: multiplies all channels.
      depth: multiplies the blocks of each stage, rounded up.
      scale_ends: whether `width` scales stem and last convolution too, and `depth` the first and
        last stage.
      squeeze_excite: whether blocks have squeeze-and-excitation.
      stem: `imagenet` (3x3 stride 2) or `cifar` (3x3 stride 1).
      padding: `torch` (alike on all sides) or `SAME` (TensorFlow's).
      norm: `batch`, `layer`, `group` or `none`.
      norm_epsilon: added to the variance.
      activation: after all convolutions but the last of each block.
      stochastic_depth_rate: see `stochastic_depth`.
    """

    stages: Sequence[Sequence[int]]
    width: float = 1.0
    depth: float = 1.0
    scale_ends: bool = True
    squeeze_excite: bool = True
    stem: Literal["imagenet", "cifar"] = "imagenet"
    padding: Literal["torch", "SAME"] = "torch"
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    activation: str = "silu"
    stochastic_depth_rate: float = 0.2
    dtype: jnp.dtype = jnp.float32

    def _blocks(self) -> list[tuple[str, int, int, int, int]]:
        """Name, expansion, kernel, channels and stride of each block."""
        blocks = []
        for stage, (expansion, kernel, channels, size, stride) in enumerate(self.stages, start=1):
            if self.scale_ends or 1 < stage < len(self.stages):
                size = math.ceil(size * self.depth)
            channels = round_channels(channels * self.width)
            for number in range(1, size + 1):
                name = f"stage{stage}_block{number}"
                blocks.append((name, expansion, kernel, channels, stride if number == 1 else 1))
        return blocks

    @property
    def strides(self) -> tuple[int, ...]:
        stem = 2 if self.stem == "imagenet" else 1
        return level_strides(stem, (stride for *_, stride in self._blocks()))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the last map of each resolution and the last of all.

        The last but one comes from the last block, the last from the 1x1 convolution after it.
        """
        activation = make_activation(self.activation)
        conv = partial(
            ConvNormAct,
            padding="SAME" if self.padding == "SAME" else None,
            norm=make_norm(self.norm, train=train, dtype=self.dtype, epsilon=self.norm_epsilon),
            activation=activation,
            dtype=self.dtype,
        )
        ends = self.width if self.scale_ends else 1.0
        stem_stride = 2 if self.stem == "imagenet" else 1
        x = conv(round_channels(_STEM_CHANNELS * ends), 3, stem_stride, name="stem")(images)
        maps, blocks = [], self._blocks()
        for number, (name, expansion, kernel, channels, stride) in enumerate(blocks):
            if stride > 1:
                maps.append(x)
            x = InvertedResidual(
                channels,
                expansion * x.shape[-1],
                conv,
                kernel,
                stride,
                # The squeezed width follows the block's input, not the map that is squeezed.
                squeezed=x.shape[-1] // _SQUEEZE_RATIO if self.squeeze_excite else 0,
                squeeze_activation=activation,
                dropout=stochastic_depth(
                    self.stochastic_depth_rate, block=number, blocks=len(blocks), train=train
                ),
                dtype=self.dtype,
                name=name,
            )(x)
        last = _LAST_EXPANSION * round_channels(self.stages[-1][2] * ends)
        return (*maps, x, conv(last, 1, name="last_conv")(x))


VARIANTS = {
    "efficientnet_b0": {},
    "efficientnet_b1": {"depth": 1.1},
    "efficientnet_b2": {"width": 1.1, "depth": 1.2, "dropout_rate": 0.3},
    "efficientnet_b3": {"width": 1.2, "depth": 1.4, "dropout_rate": 0.3},
    "tf_efficientnet_lite0": {
        "scale_ends": False,
        "squeeze_excite": False,
        "padding": "SAME",
        "norm_epsilon": 1e-3,
        "activation": "relu6",
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stages: Sequence[Sequence[int]] = _STAGES,
    width: float = 1.0,
    depth: float = 1.0,
    scale_ends: bool = True,
    squeeze_excite: bool = True,
    stem: str = "imagenet",
    padding: str = "torch",
    norm: str = "batch",
    norm_epsilon: float = 1e-5,
    activation: str = "silu",
    dropout_rate: float = 0.2,
    stochastic_depth_rate: float = 0.2,
) -> Classifier:
    """The whole network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if padding not in ("torch", "SAME"):
        raise UserError(f"Unknown padding '{padding}': choose torch or SAME.")
    backbone = EfficientNet(
        stages,
        width,
        depth,
        scale_ends,
        squeeze_excite,
        stem,
        padding,
        norm,
        norm_epsilon,
        activation,
        stochastic_depth_rate,
        dtype,
    )
    uniform = nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform")
    head = LinearHead(num_classes, dropout_rate, dtype, kernel_init=uniform)
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
