"""Registers the losses, and checks their weights and options."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax

from cnnlab import registry
from cnnlab.config.options import check_options, keyword_options
from cnnlab.errors import UserError, did_you_mean
from cnnlab.tasks.losses._boundary import boundary
from cnnlab.tasks.losses._cross_entropy import cross_entropy
from cnnlab.tasks.losses._focal import focal
from cnnlab.tasks.losses._lovasz import lovasz
from cnnlab.tasks.losses.regions import dice, jaccard, tversky

# Those of segmentation.
LOSSES: Mapping[str, Callable[..., jax.Array]] = MappingProxyType(
    {
        "boundary": boundary,
        "cross_entropy": cross_entropy,
        "dice": dice,
        "focal": focal,
        "jaccard": jaccard,
        "lovasz": lovasz,
        "tversky": tversky,
    }
)

for _name, _loss in LOSSES.items():
    registry.register_loss(_name, task="segmentation")(_loss)

# What a loss is given by its task, not by the user.
_NOT_OPTIONS = {"label_smoothing", "weight", "ignore"}


def check_losses(
    weights: Mapping[str, float],
    options: Mapping[str, Mapping[str, Any]],
    num_classes: int,
    *,
    task: str = "segmentation",
) -> None:
    """Raises a `UserError` for an unknown loss or option, or an impossible value.

    Args:
      weights: weight of each loss, by name; at least one must be greater than 0.
      options: options of losses that have a weight, by the loss's name.
      num_classes: required length of the option `class_weights`.
      task: the task that the losses are for.
    """
    for name, weight in weights.items():
        registry.LOSSES.entry(name, task=task)
        _require_number(f"The weight of the loss '{name}'", weight)
    if not any(weights.values()):
        names = ", ".join(registry.LOSSES.names(task=task))
        raise UserError(f"No loss has a weight above 0: set one for any of {names}.")
    for name, chosen in options.items():
        loss = registry.LOSSES.get(name, task=task)
        _check_options(name, loss, chosen, num_classes)
        if not weights.get(name):
            raise UserError(
                f"There are options for the loss '{name}', which has no weight: set one, or remove "
                "the options."
            )


def check_class_weights(weights: Sequence[float] | None, num_classes: int) -> None:
    """Raises a `UserError` unless each class has a weight, one of them above 0; None is valid."""
    if weights is None:
        return
    if not isinstance(weights, Sequence) or len(weights) != num_classes:
        raise UserError(
            f"class_weights={weights!r} must be {num_classes} numbers, one for each class."
        )
    for weight in weights:
        _require_number("A class weight", weight)
    if not any(weights):
        raise UserError(f"class_weights={weights!r} leaves no class: one must be above 0.")


def _check_options(
    name: str, loss: Callable[..., jax.Array], options: Mapping[str, Any], num_classes: int
) -> None:
    if not isinstance(options, Mapping):
        raise UserError(
            f"Options of the loss '{name}' are given by their names, got {options!r}: "
            f"set e.g. '{name}.OPTION=VALUE'."
        )
    defaults = keyword_options(loss)
    known = defaults.keys() - _NOT_OPTIONS
    for option, value in options.items():
        if option not in known:
            raise UserError(
                f"The loss '{name}' has no option '{option}'.{did_you_mean(option, known)}"
            )
        default = defaults[option]
        if option == "class_weights":
            check_class_weights(value, num_classes)
        elif isinstance(default, bool | str | tuple):
            check_options(f"loss.options.{name}", {option: value}, defaults)
        elif value is not None or default is not None:
            _require_number(f"{name}'s {option}", value)
            if isinstance(default, int) and not isinstance(value, int):
                raise UserError(f"{name}'s {option} must be a whole number, got {value!r}.")


def _require_number(what: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value >= 0):
        raise UserError(f"{what} must be a number of at least 0, got {value!r}.")
