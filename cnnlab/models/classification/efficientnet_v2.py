"""EfficientNetV2 (Tan & Le 2021, "Smaller models and faster training", arXiv:2104.00298).

Table 4 for `efficientnet_v2_s`; M and L from the published code. The first three stages have fused
blocks, without squeeze-and-excitation. Deviations: convolutions pad equally on all sides, as in
torchvision; the original networks have `padding=SAME`. Batch norm keeps 0.9 of its running
statistics; initial values are those of `cnnlab.models.classification.efficientnet`.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.efficientnet import EfficientNet
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead

_LAST_CHANNELS = 1280
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

VARIANTS = {
    "efficientnet_v2_s": {"stages": _S},
    "efficientnet_v2_m": {"stages": _M, "dropout_rate": 0.3},
    "efficientnet_v2_l": {"stages": _L, "dropout_rate": 0.4},
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
) -> Classifier:
    """Builds the network; `stages` and the other options are those of `EfficientNet`."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    if padding not in ("torch", "SAME"):
        raise UserError(f"Unknown padding '{padding}': choose torch or SAME.")
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
        stem_channels=stages[0][2],
        last_channels=_LAST_CHANNELS,
        fused_stages=_FUSED_STAGES,
    )
    uniform = nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform")
    head = LinearHead(num_classes, dropout_rate, dtype, kernel_init=uniform)
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
