from .build import create_model
from .catalog import list_models, model_options, model_source, model_task
from .classifier import Classifier
from .features import extract
from .network import Network, as_network
from .segmenter import Segmenter

__all__ = [
    "Classifier",
    "Network",
    "Segmenter",
    "as_network",
    "create_model",
    "extract",
    "list_models",
    "model_options",
    "model_source",
    "model_task",
]
