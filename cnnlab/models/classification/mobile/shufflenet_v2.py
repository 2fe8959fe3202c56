"""ShuffleNetV2 (Ma et al. 2018, "Practical guidelines for efficient CNN...", arXiv:1807.11164).

Table 5 of the paper, in four widths. Deviations: at twice the width stages have 244, 488 and 976
channels, as in torchvision (table 5 prints 224 for the first, a misprint of the paper);
convolutions start from normal values of variance 2 / fan-out.
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
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool


class ShuffleUnit(nn.Module):
    """Half of the channels are convolved, then the two halves are interleaved (fig. 3c, d).

    At stride 2 both branches see all channels, and the untouched half is convolved too.

    Attributes:
      features: channels of the output; even.
      stride: stride of the depthwise convolutions.
      conv: builds a convolution with its norm and activation.
    """

    features: int
    stride: int
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        half = self.features // 2

        def depthwise(x: jax.Array, name: str) -> jax.Array:
            channels = x.shape[-1]
            conv = partial(self.conv, channels, 3, self.stride, groups=channels, activation=None)
            return conv(name=name)(x)

        if self.stride == 1:
            kept, y = x[..., :half], x[..., half:]
        else:
            kept = self.conv(half, 1, name="shortcut_pointwise")(depthwise(x, "shortcut_depthwise"))
            y = x
        y = depthwise(self.conv(half, 1, name="pointwise1")(y), "depthwise")
        y = self.conv(half, 1, name="pointwise2")(y)
        # Channel i of each half comes to 2 i and 2 i + 1.
        return jnp.stack([kept, y], axis=-1).reshape(*y.shape[:-1], self.features)


class ShuffleNetV2(nn.Module):
    """Stem, three stages of `ShuffleUnit`, a last 1x1 convolution.

    Attributes:
      widths: channels of the stem, of stages 2 to 4 and of the last convolution.
      stage_sizes: units of stages 2 to 4; the first of each halves the map.
      stem: `imagenet` (3x3 stride 2, max pooling) or `cifar` (3x3 stride 1).
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after all convolutions but the depthwise ones.
    """

    widths: Sequence[int]
    stage_sizes: Sequence[int] = (4, 8, 4)
    stem: Literal["imagenet", "cifar"] = "imagenet"
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        stem = (2, 4) if self.stem == "imagenet" else (1,)
        stages = [stem[-1] * 2**stage for stage in range(1, len(self.stage_sizes) + 1)]
        return (*stem, *stages, stages[-1])

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the maps of stem, pooling, stages and last layer."""
        conv = partial(
            ConvNormAct,
            norm=make_norm(self.norm, train=train, dtype=self.dtype),
            activation=make_activation(self.activation),
            dtype=self.dtype,
        )
        stem, *stages, last = self.widths
        imagenet = self.stem == "imagenet"
        maps = [conv(stem, 3, 2 if imagenet else 1, name="stem")(images)]
        if imagenet:
            maps.append(max_pool(maps[-1], (3, 3), (2, 2), ((1, 1), (1, 1))))
        x = maps[-1]
        for stage, (size, width) in enumerate(zip(self.stage_sizes, stages, strict=True), start=2):
            for number in range(1, size + 1):
                stride = 2 if number == 1 else 1
                x = ShuffleUnit(width, stride, conv, name=f"stage{stage}_block{number}")(x)
            maps.append(x)
        return (*maps, conv(last, 1, name="last_conv")(x))


VARIANTS = {
    "shufflenet_v2_x0_5": {"widths": (24, 48, 96, 192, 1024)},
    "shufflenet_v2_x1_0": {"widths": (24, 116, 232, 464, 1024)},
    "shufflenet_v2_x1_5": {"widths": (24, 176, 352, 704, 1024)},
    "shufflenet_v2_x2_0": {"widths": (24, 244, 488, 976, 2048)},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    widths: Sequence[int],
    stage_sizes: Sequence[int] = (4, 8, 4),
    stem: str = "imagenet",
    norm: str = "batch",
    activation: str = "relu",
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2, pool) or cifar (3x3/1).")
    if len(widths) != len(stage_sizes) + 2 or any(width % 2 for width in widths[1:-1]):
        raise UserError(
            f"widths {tuple(widths)} must be those of the stem, of {len(stage_sizes)} stages (even "
            "numbers) and of the last convolution."
        )
    backbone = ShuffleNetV2(widths, stage_sizes, stem, norm, activation, dtype)
    # As of ResNet: with one pixel left for the last units, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size, hint)
