"""Pretrained weights in, and weights out, under the names of torchvision, timm and smp.

    model, variables, new, statistics = load("timm/resnet18.a1_in1k", num_classes=10)
    save("mine.safetensors", variables, "resnet18", naming="torchvision")

Which networks, and how they are proven equal: docs/pretrained.md.
"""

from cnnlab.pretrained.convert import Fit, fit, own_tensors
from cnnlab.pretrained.load import (
    Pretrained,
    fit_encoder,
    fit_weights,
    is_segmenter,
    load,
    source_options,
)
from cnnlab.pretrained.options import differing_options
from cnnlab.pretrained.save import save
from cnnlab.pretrained.sources import named_peer, read_source
from cnnlab.pretrained.statistics import image_statistics

__all__ = [
    "Fit",
    "Pretrained",
    "differing_options",
    "fit",
    "fit_encoder",
    "fit_weights",
    "image_statistics",
    "is_segmenter",
    "load",
    "named_peer",
    "own_tensors",
    "read_source",
    "save",
    "source_options",
]
