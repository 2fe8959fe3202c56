"""Losses: pure functions of logits and labels or targets that return one value per example.

Losses of whole images are in `images`. Losses of segmentation take logits [batch, height, width,
classes] of any float type, compute in float32, and take integer labels [batch, height, width]. One
class means binary: a sigmoid of labels 0 and 1. Ignored pixels count for nothing; an example that
has no others has loss 0 and gradient 0.
"""

from cnnlab.tasks.losses import images
from cnnlab.tasks.losses._boundary import boundary
from cnnlab.tasks.losses._cross_entropy import cross_entropy
from cnnlab.tasks.losses._focal import focal
from cnnlab.tasks.losses._lovasz import lovasz
from cnnlab.tasks.losses.pixels import IGNORE
from cnnlab.tasks.losses.regions import dice, jaccard, tversky
from cnnlab.tasks.losses.table import LOSSES, check_class_weights, check_losses

__all__ = [
    "IGNORE",
    "LOSSES",
    "boundary",
    "check_class_weights",
    "check_losses",
    "cross_entropy",
    "dice",
    "focal",
    "images",
    "jaccard",
    "lovasz",
    "tversky",
]
