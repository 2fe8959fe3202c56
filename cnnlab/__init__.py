"""A functional research framework for convolutional networks in JAX and Flax.

    model = cnnlab.create_model("resnet18", num_classes=10, stem="cifar")
    dataset = cnnlab.data.load("digits")
    step = cnnlab.train.make_train_step(model, task, tx)

Importing this is cheap: the packages below are loaded when they are first named.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_FUNCTIONS = {
    "create_model": "cnnlab.models",
    "list_models": "cnnlab.models",
    "UserError": "cnnlab.errors",
}
_PACKAGES = (
    "analysis",
    "config",
    "data",
    "models",
    "nn",
    "pretrained",
    "report",
    "sweep",
    "tasks",
    "train",
)

__all__ = [*_FUNCTIONS, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"cnnlab.{name}")
    raise AttributeError(f"module 'cnnlab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
