"""Reads JSON from files and reports any defect in one sentence."""

import json
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError

_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number",
          float: "a number", type(None): "null"}  # fmt: skip


def parse_json(data: bytes, name: object, kind: type = dict) -> Any:
    """Parses JSON and checks the kind of its outermost value.

    Args:
      data: text in UTF-8.
      name: origin of the text, for the error message.
      kind: required type, `dict` or `list`.

    Raises:
      UserError: the text has another encoding, is not JSON, is nested too deeply, or has another
        kind of value.
    """
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is damaged: it is not text in UTF-8 ({error.reason}).") from error
    except RecursionError as error:
        raise UserError(f"{name} is damaged: its values are nested too deeply.") from error
    except ValueError as error:
        raise UserError(f"{name} is damaged: it is not JSON ({error}).") from error
    if not isinstance(value, kind):
        found = _NAMES[type(value)]
        raise UserError(
            f"{name} is damaged: it must hold {_NAMES[kind]} in JSON, and holds {found}."
        )
    return value


def read_json(path: Path, kind: type = dict) -> Any:
    """Parses a file with `parse_json`; raises a `UserError` if it cannot be read."""
    return parse_json(read_bytes(path), path, kind)


def read_bytes(path: Path) -> bytes:
    """Returns the content of a file; raises a `UserError` if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
