"""ResNets for CIFAR (He et al. 2015, arXiv:1512.03385, sec. 4.2): depth 6n + 2, three stages.

Shortcuts that change shape have no parameters (option A): every second pixel, and zeros for the new
channels, put after the old ones; the paper does not say where. `shortcut=projection` is option B.
Deviations: none.
"""

from functools import partial

import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classification.resnet import BasicBlock, ResNet
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead

VARIANTS = {f"resnet{depth}": {"depth": depth} for depth in (20, 32, 44, 56, 110)}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    depth: int,
    norm: str = "batch",
    activation: str = "relu",
    shortcut: str = "pad",
    zero_init_residual: bool = False,
    width: int = 16,
    dropout_rate: float = 0.0,
    stochastic_depth_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise UserError(f"depth={depth} must be 6n + 2: 8, 14, 20, 32, 44, 56, 110, ...")
    if shortcut not in ("pad", "projection"):
        raise UserError(f"shortcut='{shortcut}' must be pad (option A) or projection (option B).")
    if zero_init_residual and norm == "none":
        raise UserError("zero_init_residual needs a norm to set to zero, and norm is none.")
    block = partial(BasicBlock, shortcut=shortcut, zero_init_residual=zero_init_residual)
    backbone = ResNet(
        (blocks,) * 3,
        block,
        "cifar",
        norm,
        activation,
        width,
        dtype=dtype,
        stochastic_depth_rate=stochastic_depth_rate,
    )
    return Classifier(backbone, LinearHead(num_classes, dropout_rate, dtype), min_size=4)
