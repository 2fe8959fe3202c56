"""Architectures, each in a file of its own, and their registry."""

from cnnlab.models.classifier import Classifier
from cnnlab.models.features import extract
from cnnlab.models.network import Network
from cnnlab.models.registry import (
    create_model,
    list_models,
    model_options,
    model_source,
    model_task,
)
from cnnlab.models.segmenter import Segmenter

__all__ = [
    "Classifier",
    "Network",
    "Segmenter",
    "create_model",
    "extract",
    "list_models",
    "model_options",
    "model_source",
    "model_task",
]
