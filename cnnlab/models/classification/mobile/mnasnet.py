"""MNASNet (Tan et al. 2019, "Platform-aware neural architecture search...", arXiv:1807.11626).

The variant B1, without squeeze-and-excitation, in four widths (fig. 7 of the paper is the variant
A1), from the published code. Its backbone is EfficientNet's with other stages. Deviations: batch
norm adds 1e-5, and dropout before the logits is 0.2, both as in torchvision.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.efficientnet import EfficientNet, check_level_maps
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead

# Not scaled by the width.
_LAST_CHANNELS = 1280

# Expansion, kernel, channels, blocks, stride of the first block.
_STAGES = (
    (1, 3, 16, 1, 1),
    (3, 3, 24, 3, 2),
    (3, 5, 40, 3, 2),
    (6, 5, 80, 3, 2),
    (6, 3, 96, 2, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)

VARIANTS = {
    "mnasnet0_5": {"width": 0.5},
    "mnasnet0_75": {"width": 0.75},
    "mnasnet1_0": {},
    "mnasnet1_3": {"width": 1.3},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stages: Sequence[Sequence[int]] = _STAGES,
    width: float = 1.0,
    stem: str = "imagenet",
    norm: str = "batch",
    norm_epsilon: float = 1e-5,
    norm_momentum: float = 0.9997,
    activation: str = "relu",
    dropout_rate: float = 0.2,
    level_maps: str = "last",
) -> Classifier:
    """Builds the network; `stages` and the other options are those of `EfficientNet`."""
    if stem not in ("imagenet", "cifar"):
        raise UserError(f"Unknown stem '{stem}': choose imagenet (3x3/2) or cifar (3x3/1).")
    check_level_maps(level_maps)
    backbone = EfficientNet(
        stages,
        width,
        squeeze_excite=False,
        stem=stem,
        norm=norm,
        norm_epsilon=norm_epsilon,
        norm_momentum=norm_momentum,
        activation=activation,
        stochastic_depth_rate=0.0,
        dtype=dtype,
        last_channels=_LAST_CHANNELS,
        level_maps=level_maps,
    )
    uniform = nn.initializers.variance_scaling(1.0, "fan_out", "uniform")
    head = LinearHead(num_classes, dropout_rate, dtype, kernel_init=uniform)
    # As of ResNet: with one pixel left for the last blocks, it would run and learn little.
    min_size, hint = backbone.strides[-1], ""
    if stem == "imagenet":
        min_size, hint = min_size + 1, ", or model.options.stem=cifar"
    return Classifier(backbone, head, min_size, hint)
