"""Imports and exports weights under the names of torchvision, timm and smp.

    model, variables, *_ = load("timm/resnet18.a1_in1k", num_classes=10)
    save("mine.safetensors", variables, "resnet18", naming="torchvision")

The networks, and how they are tested: docs/pretrained.md.
"""

from cnnlab.pretrained.convert import LoadedWeights, match_weights, own_tensors
from cnnlab.pretrained.expected_geometry import image_geometry
from cnnlab.pretrained.loading import (
    Pretrained,
    fit_encoder,
    fit_weights,
    is_segmenter,
    load,
    source_options,
)
from cnnlab.pretrained.options import differing_options
from cnnlab.pretrained.saving import save
from cnnlab.pretrained.sources import named_peer, read_source
from cnnlab.pretrained.statistics import image_statistics

__all__ = [
    "LoadedWeights",
    "Pretrained",
    "differing_options",
    "fit_encoder",
    "fit_weights",
    "image_geometry",
    "image_statistics",
    "is_segmenter",
    "load",
    "match_weights",
    "named_peer",
    "own_tensors",
    "read_source",
    "save",
    "source_options",
]
