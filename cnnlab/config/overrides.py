"""Sets fields of a config by their path, for flags, files and sweeps."""

import ast
import copy
import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from cnnlab.config.schema import Config
from cnnlab.errors import UserError, did_you_mean

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def apply_overrides(config: Config, overrides: Mapping[str, Any]) -> Config:
    """Returns a copy of `config` with the fields named by dotted paths set.

    Values may be texts, as from flags, or Python values, as from sweeps. Both are checked against
    the field's type. `"none"` unsets an optional field.

    >>> apply_overrides(Config(), {"optimizer.learning_rate": "0.05"}).optimizer.learning_rate
    0.05

    Raises:
      UserError: a path that names no field, or a value of the wrong type.
    """
    config = copy.deepcopy(config)
    for path, value in overrides.items():
        _set(config, path, value)
    return config


def field_paths(config: Any, prefix: str = "") -> list[str]:
    """Paths of all fields that can be overridden, without entries of dict fields."""
    paths = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            paths += field_paths(value, f"{prefix}{field.name}.")
        else:
            paths.append(prefix + field.name)
    return paths


def _set(config: Config, path: str, value: Any) -> None:
    holder: Any = config
    *parents, last = path.split(".")
    for position, name in enumerate(parents):
        _require_field(config, holder, name, path)
        holder = getattr(holder, name)
        rest = parents[position + 1 :]
        if isinstance(holder, dict):
            _set_entry(holder, [*rest, last], value, path)
            return
        if not dataclasses.is_dataclass(holder):
            raise UserError(
                f"'{path}' names no field of the config: "
                f"'{'.'.join(parents[: position + 1])}' has no parts."
            )
    _require_field(config, holder, last, path)
    hint = typing.get_type_hints(type(holder))[last]
    if dataclasses.is_dataclass(hint):
        raise UserError(
            f"'{path}' is a group of fields; set one of them, e.g. "
            f"'{path}.{dataclasses.fields(hint)[0].name}'."
        )
    setattr(holder, last, coerce(value, hint, path))


def _set_entry(entries: dict, names: list[str], value: Any, path: str) -> None:
    *groups, last = names
    for name in groups:
        entries = entries.setdefault(name, {})
        if not isinstance(entries, dict):
            raise UserError(f"'{path}' cannot be set: '{name}' is {entries!r}, which has no parts.")
    entries[last] = _literal(value)


def _require_field(config: Config, holder: Any, name: str, path: str) -> None:
    names = [field.name for field in dataclasses.fields(holder)]
    if name in names:
        return
    # The user may have the right field in the wrong group: look for its last part everywhere.
    leaf = path.rsplit(".", 1)[-1]
    elsewhere = [p for p in field_paths(config) if p.rsplit(".", 1)[-1] == leaf]
    hint = (
        f" Did you mean {' or '.join(repr(p) for p in elsewhere)}?"
        if elsewhere
        else did_you_mean(name, names)
    )
    raise UserError(f"The config has no field '{path}'.{hint}")


_WORDS = {"true": True, "false": False, "none": None}


def _literal(value: Any) -> Any:
    """Parses a text as a number, boolean, tuple, dict or None if it is one."""
    if not isinstance(value, str):
        return value
    try:
        tree = ast.parse(value.strip(), mode="eval")
        return ast.literal_eval(_Words().visit(tree))
    except (ValueError, SyntaxError):
        return value


class _Words(ast.NodeTransformer):
    """Puts values in place of true, false and none, in any letter case."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        word = node.id.lower()
        return ast.copy_location(ast.Constant(_WORDS[word]), node) if word in _WORDS else node


def is_switch(path: str) -> bool:
    """Whether a path names a field that is true or false."""
    kind: Any = Config
    for name in path.split("."):
        kind = typing.get_type_hints(kind).get(name) if dataclasses.is_dataclass(kind) else None
    return kind is bool


def coerce(value: Any, hint: Any, path: str) -> Any:
    """Converts `value` to the type `hint`; raises a `UserError` that names `path`."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [arg for arg in typing.get_args(hint) if arg is not types.NoneType]
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        for kind in kinds[:-1]:  # a few words, before values of another type
            if value in typing.get_args(kind):
                return value
        return coerce(value, kinds[-1], path)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value in choices:
            return value
        raise UserError(f"{path}={value!r} is not a choice.{did_you_mean(str(value), choices)}")
    if origin is dict:
        value = _literal(value)
        if isinstance(value, dict):
            return dict(value)
        raise UserError(
            f"{path}={value!r} is not a dict; set one entry of it, e.g. '{path}.NAME=VALUE'."
        )
    if origin is tuple:
        return _coerce_tuple(value, hint, path)
    return _coerce_scalar(value, hint, path)


def _coerce_tuple(value: Any, hint: Any, path: str) -> tuple:
    element, *rest = typing.get_args(hint)
    items = _literal(value)
    if isinstance(items, str):
        items = [part for part in items.strip("()[] ").split(",") if part.strip()]
    elif not isinstance(items, (tuple, list)):
        items = [items]
    if rest and rest != [Ellipsis] and len(items) != 1 + len(rest):
        raise UserError(f"{path} takes {1 + len(rest)} values, got {value!r}.")
    return tuple(coerce(item, element, path) for item in items)


def _coerce_scalar(value: Any, kind: type, path: str) -> Any:
    literal = _literal(value)
    if kind is str and isinstance(value, str):
        return value
    if kind is bool and isinstance(literal, bool):
        return literal
    if kind is float and isinstance(literal, (int, float)) and not isinstance(literal, bool):
        if abs(literal) <= sys.float_info.max or isinstance(literal, float):
            return float(literal)
        raise UserError(f"{path}={str(value)[:20]}... is too large a number.")
    if kind is float and isinstance(value, str) and value.lower() in ("inf", "nan", "-inf"):
        raise UserError(f"{path}={value!r} is not a finite number.")
    if kind is int and not isinstance(literal, bool):
        if isinstance(literal, int):
            return literal
        # 1e5 steps is a whole number to everyone but Python.
        if isinstance(literal, float) and literal.is_integer():
            return int(literal)
    raise UserError(f"{path}={value!r} is not {_NAMES[kind]}.")


def describe_fields(config: Config) -> list[tuple[str, str]]:
    """Path and value of every field, as texts that flags accept."""
    rows = []
    for path in field_paths(config):
        value: Any = config
        for name in path.split("."):
            value = getattr(value, name)
        rows.append(
            (f"{path}.NAME", "VALUE") if isinstance(value, dict) else (path, field_text(value))
        )
    return rows


def field_text(value: Any) -> str:
    """Returns a field's value as a text that flags accept."""
    if value is None:
        return "none"
    if isinstance(value, tuple | list | dict):
        return str(tuple(value) if isinstance(value, list) else value).replace(" ", "")
    return str(value).lower() if isinstance(value, bool) else str(value)
