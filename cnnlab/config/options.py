"""Type checks of options that no field of the config declares."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnlab.errors import UserError

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def keyword_options(factory: Callable[..., Any]) -> dict[str, Any]:
    """Keyword-only arguments of a function or class with their defaults; None if there is none.

    >>> keyword_options(lambda images, *, strength=0.5: images)
    {'strength': 0.5}
    """
    return {
        parameter.name: None if parameter.default is parameter.empty else parameter.default
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def check_options(group: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Checks that options have the types of their defaults.

    Options without a default, or whose default implies no type (None, a function), may have any
    type. Unknown names are left to the consumer of the options.

    Args:
      group: path of the options in the config, for the message.
      options: values by name, from the config.
      defaults: default values by name.

    Raises:
      UserError: a value of another type than its default, e.g. a text for a number.
    """
    for name, value in options.items():
        default = defaults.get(name)
        kind = type(default)
        if kind in _KINDS and not _fits(value, kind):
            raise UserError(f"{group}.{name}={value!r} is not {_KINDS[kind]}.")
        if kind is tuple and default and all(_fits(item, int) for item in default):
            sequence = isinstance(value, Sequence) and not isinstance(value, str)
            if not sequence or not all(_fits(item, int) for item in value):
                raise UserError(
                    f"{group}.{name}={value!r} is not a list of whole numbers, e.g. {default}."
                )


def _fits(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is str and value is None:  # the word `none`, as read from a flag: `norm=none`
        return True
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))
