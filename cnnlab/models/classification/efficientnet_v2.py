"""EfficientNetV2 (Tan & Le 2021, "Smaller models and faster training", arXiv:2104.00298).

Table 4 for `efficientnet_v2_s`; M and L from the published code. The first three stages have fused
blocks, without squeeze-and-excitation. `tf_efficientnetv2_b0` to `tf_efficientnetv2_b3` are the
smaller networks of the published code, scaled as EfficientNet's B0 to B3, with the original
padding; `efficientnetv2_rw_*` are timm's, of which S and M project the fused blocks of the first
stage although these do not expand. Deviations: convolutions pad equally on all sides, as in
torchvision; the original networks have `padding=SAME`. Batch norm keeps 0.9 of its running
statistics; initial values are those of `cnnlab.models.classification.efficientnet`.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.efficientnet import EfficientNet, check_level_maps
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead

_FUSED_STAGES = 3

# Expansion, kernel, channels, blocks, stride of the first block.
_S = (
    (1, 3, 24, 2, 1),
    (4, 3, 48, 4, 2),
    (4, 3, 64, 4, 2),
    (4, 3, 128, 6, 2),
    (6, 3, 160, 9, 1),
    (6, 3, 256, 15, 2),
)
_M = (
    (1, 3, 24, 3, 1),
    (4, 3, 48, 5, 2),
    (4, 3, 80, 5, 2),
    (4, 3, 160, 7, 2),
    (6, 3, 176, 14, 1),
    (6, 3, 304, 18, 2),
    (6, 3, 512, 5, 1),
)
_L = (
    (1, 3, 32, 4, 1),
    (4, 3, 64, 7, 2),
    (4, 3, 96, 7, 2),
    (4, 3, 192, 10, 2),
    (6, 3, 224, 19, 1),
    (6, 3, 384, 25, 2),
    (6, 3, 640, 7, 1),
)

_B0 = (
    (1, 3, 16, 1, 1),
    (4, 3, 32, 2, 2),
    (4, 3, 48, 2, 2),
    (4, 3, 96, 3, 2),
    (6, 3, 112, 5, 1),
    (6, 3, 192, 8, 2),
)
_RW_S = (*_S[:-1], (6, 3, 272, 15, 2))
_RW_M = tuple(
    (*row, blocks, stride)
    for (*row, _, stride), blocks in zip(_RW_S, (3, 5, 5, 8, 15, 24), strict=True)
)


def _base(width: float, depth: float) -> dict[str, Any]:
    """Sizes of a network that is `width` times as wide and `depth` times as deep as B0.

    The published code rounds these to the nearest multiple of 8, also where that is more than a
    tenth below, unlike the option `width`.
    """

    def rounded(channels: int) -> int:
        return int(channels * width + 4) // 8 * 8

    return {
        "stages": tuple(
            (expansion, kernel, rounded(channels), math.ceil(blocks * depth), stride)
            for expansion, kernel, channels, blocks, stride in _B0
        ),
        "stem_channels": rounded(32),
        "last_channels": rounded(1280),
        "padding": "SAME",
    }


_RW = {"norm_epsilon": 1e-5, "project_unexpanded": True}

VARIANTS = {
    "efficientnet_v2_s": {"stages": _S},
    "efficientnet_v2_m": {"stages": _M, "dropout_rate": 0.3},
    "efficientnet_v2_l": {"stages": _L, "dropout_rate": 0.4},
    "tf_efficientnetv2_b0": _base(1.0, 1.0),
    "tf_efficientnetv2_b1": _base(1.0, 1.1),
    "tf_efficientnetv2_b2": {**_base(1.1, 1.2), "dropout_rate": 0.3},
    "tf_efficientnetv2_b3": {**_base(1.2, 1.4), "dropout_rate": 0.3},
    "efficientnetv2_rw_t": {
        "stages": _S,
        "width": 0.8,
        "depth": 0.9,
        "last_channels": 1024,
        "norm_epsilon": 1e-5,
    },
    "efficientnetv2_rw_s": {"stages": _RW_S, "last_channels": 1792, **_RW},
    "efficientnetv2_rw_m": {"stages": _RW_M, "width": 1.2, "last_channels": 2152, **_RW},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stages: Sequence[Sequence[int]],
    width: float = 1.0,
    depth: float = 1.0,
    stem: str = "imagenet",
    padding: str = "torch",
    norm: str = "batch",
    norm_epsilon: float = 1e-3,
    activation: str = "silu",
    dropout_rate: float = 0.2,
    stochastic_depth_rate: float = 0.2,
    stem_channels: int | None = None,
    last_channels: int = 1280,
    project_unexpanded: bool = False,
    level_maps: str = "last",
) -> Classifier:
    """Builds the network; `stages` and the other options are those of `EfficientNet`.

    `stem_channels` None stands for the channels of the first stage.
    """
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if padding not in ("torch", "SAME"):
        raise UserError(f"Unknown padding '{padding}': choose torch or SAME.")
    check_level_maps(level_maps)
    backbone = EfficientNet(
        stages,
        width,
        depth,
        stem=stem,
        padding=padding,
        norm=norm,
        norm_epsilon=norm_epsilon,
        activation=activation,
        stochastic_depth_rate=stochastic_depth_rate,
        dtype=dtype,
        stem_channels=stages[0][2] if stem_channels is None else stem_channels,
        last_channels=last_channels,
        fused_stages=_FUSED_STAGES,
        project_unexpanded=project_unexpanded,
        level_maps=level_maps,
    )
    uniform = nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform")
    head = LinearHead(num_classes, dropout_rate, dtype, kernel_init=uniform)
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
