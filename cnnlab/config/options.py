"""Checks the types of free options, which no field of the config declares."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.errors import UserError
from cnnlab.tracing import is_traced

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def check_options(group: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Holds options to the types of their defaults.

    Options whose default tells no type (None, a function) or that have none may be anything;
    unknown names are left to the one who takes the options.

    Args:
      group: path of the options in the config, for the error.
      options: as the config has them.
      defaults: by name.

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
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number or is_traced(value)
    if kind is str and value is None:  # the word `none`, as read from a flag: `norm=none`
        return True
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))
