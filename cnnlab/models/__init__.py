"""Architectures, each in a file of its own, and their registry."""

from cnnlab.models.classifier import Classifier
from cnnlab.models.features import extract
from cnnlab.models.registry import create_model, list_models, model_options, model_source

__all__ = [
    "Classifier",
    "create_model",
    "extract",
    "list_models",
    "model_options",
    "model_source",
]
