from . import (
    analysis,
    config,
    data,
    inference,
    models,
    nn,
    pretrained,
    report,
    sweep,
    tasks,
    train,
)
from .errors import UserError
from .models import create_model, list_models
from .registry import (
    register_augmentation,
    register_callback,
    register_dataset,
    register_loss,
    register_metric,
    register_model,
    register_optimizer,
    register_schedule,
)

__version__: str

__all__ = [
    "UserError",
    "analysis",
    "config",
    "create_model",
    "data",
    "inference",
    "list_models",
    "models",
    "nn",
    "pretrained",
    "register_augmentation",
    "register_callback",
    "register_dataset",
    "register_loss",
    "register_metric",
    "register_model",
    "register_optimizer",
    "register_schedule",
    "report",
    "sweep",
    "tasks",
    "train",
]
