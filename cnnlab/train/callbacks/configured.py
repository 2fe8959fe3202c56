"""The callbacks of a run by its config: those of every run, and those that it names."""

import inspect
from typing import Any

from cnnlab.config import Config
from cnnlab.errors import UserError, did_you_mean
from cnnlab.registry import CALLBACKS
from cnnlab.train.callbacks.base import Callback
from cnnlab.train.callbacks.early_stopping import EarlyStopping
from cnnlab.train.callbacks.json_lines import JsonLines
from cnnlab.train.callbacks.mlflow import MlflowCallback
from cnnlab.train.callbacks.tensorboard import TensorBoard
from cnnlab.train.callbacks.wandb import WandbCallback

CALLBACKS.register("mlflow")(MlflowCallback)
CALLBACKS.register("wandb")(WandbCallback)


def configured_callbacks(config: Config) -> list[Callback]:
    """Makes the callbacks of a run: rows as files, early stopping, and what `callbacks` names.

    Raises:
      UserError: an unknown name or option, a missing option, or a factory that does not return
        a `Callback`.
    """
    patience = config.evaluation.early_stopping_patience
    return [
        JsonLines(),
        TensorBoard(),
        *([] if patience is None else [EarlyStopping(patience)]),
        *(_make(name, options) for name, options in config.callbacks.items()),
    ]


def _make(name: str, options: dict[str, Any]) -> Callback:
    factory = CALLBACKS.get(name)
    parameters = inspect.signature(factory).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for option in () if open_ended else options:
        if option not in parameters:
            raise UserError(
                f"The callback '{name}' has no option '{option}'.{did_you_mean(option, parameters)}"
            )
    for option, parameter in parameters.items():
        required = parameter.default is parameter.empty
        named = parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if required and named and option not in options:
            raise UserError(
                f"The callback '{name}' needs an option: set callbacks.{name}.{option}."
            )
    callback = factory(**options)
    if not isinstance(callback, Callback):
        raise UserError(
            f"The callback '{name}' must return a cnnlab.train.Callback, but returns "
            f"{type(callback).__name__}."
        )
    return callback
