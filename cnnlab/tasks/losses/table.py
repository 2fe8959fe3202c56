"""The losses by name, and checks of what a user asks of them."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax

from cnnlab.errors import UserError, did_you_mean
from cnnlab.tasks.losses.boundary import boundary
from cnnlab.tasks.losses.cross_entropy import cross_entropy
from cnnlab.tasks.losses.focal import focal
from cnnlab.tasks.losses.lovasz import lovasz
from cnnlab.tasks.losses.regions import dice, jaccard, tversky

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

# What a loss is given by its task, not by the user.
_NOT_OPTIONS = {"label_smoothing", "weight", "ignore"}


def check_losses(
    weights: Mapping[str, float], options: Mapping[str, Mapping[str, Any]], num_classes: int
) -> None:
    """Raises a `UserError` for an unknown loss or option, or a value that cannot be.

    Args:
      weights: of losses, by name; one at least is above 0.
      options: of losses, by name, and of those that have a weight only.
      num_classes: how many class weights an option of that name must have.
    """
    for name, weight in weights.items():
        _require_loss(name)
        _require_number(f"The weight of the loss '{name}'", weight)
    if not any(weights.values()):
        raise UserError(f"No loss has a weight above 0: give one to any of {', '.join(LOSSES)}.")
    for name, chosen in options.items():
        _require_loss(name)
        _check_options(name, chosen, num_classes)
        if not weights.get(name):
            raise UserError(
                f"Options are set of the loss '{name}', which has no weight and is not computed: "
                "give it one, or leave them out."
            )


def check_class_weights(weights: Sequence[float] | None, num_classes: int) -> None:
    """Raises a `UserError` unless there is one for each class, and one above 0; or None."""
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


def _check_options(name: str, options: Mapping[str, Any], num_classes: int) -> None:
    if not isinstance(options, Mapping):
        raise UserError(
            f"Options of the loss '{name}' are given by their names, got {options!r}: "
            f"set e.g. '{name}.OPTION=VALUE'."
        )
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    known = defaults.keys() - _NOT_OPTIONS
    for option, value in options.items():
        if option not in known:
            raise UserError(
                f"The loss '{name}' has no option '{option}'.{did_you_mean(option, known)}"
            )
        if option == "class_weights":
            check_class_weights(value, num_classes)
        elif value is not None or defaults[option] is not None:
            _require_number(f"{name}'s {option}", value)
            if isinstance(defaults[option], int) and not isinstance(value, int):
                raise UserError(f"{name}'s {option} must be a whole number, got {value!r}.")


def _require_loss(name: str) -> None:
    if name not in LOSSES:
        raise UserError(f"Unknown loss '{name}'.{did_you_mean(name, LOSSES)}")


def _require_number(what: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value >= 0):
        raise UserError(f"{what} must be a number of at least 0, got {value!r}.")
