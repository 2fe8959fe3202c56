"""Losses of segmentation: pure functions of logits and labels, one number for each example.

All take logits [batch, height, width, classes] of any float type, computed with in float32, and
integer labels [batch, height, width]. One class means binary: a sigmoid of labels 0 and 1. Ignored
pixels count for nothing; an example that has no others has loss 0 and gradient 0.
"""

from cnnlab.tasks.losses.boundary import boundary
from cnnlab.tasks.losses.cross_entropy import cross_entropy
from cnnlab.tasks.losses.focal import focal
from cnnlab.tasks.losses.lovasz import lovasz
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
    "jaccard",
    "lovasz",
    "tversky",
]
