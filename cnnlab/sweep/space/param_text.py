"""Parses ranges and lists: `log(1e-3, 1)`, `[lenet, mlp]`, `range(3)`."""

import ast
import dataclasses
from typing import Any

import numpy as np

from cnnlab.errors import UserError, did_you_mean
from cnnlab.sweep.space.param import Choice, Param, check_range, integer, log, log_integer, uniform

_MOST_VALUES = 10_000  # of a list


def _linspace(low: float, high: float, count: int) -> Choice:
    return Choice(tuple(_rounded(x) for x in np.linspace(low, high, _count(count))))


def _geomspace(low: float, high: float, count: int) -> Choice:
    check_range("geomspace", low, high, log=True)
    return Choice(tuple(_rounded(x) for x in np.geomspace(low, high, _count(count))))


def _range(*ends: int) -> Choice:
    values = range(*ends)
    _check_length(bool(values[_MOST_VALUES:]))
    return Choice(tuple(values))


_FUNCTIONS = {
    "uniform": uniform,
    "log": log,
    "int": integer,
    "logint": log_integer,
    "range": _range,
    "linspace": _linspace,
    "geomspace": _geomspace,
}
_EXAMPLES = "log(1e-4, 1), uniform(0, 0.5), int(1, 8), logint(8, 256), [a, b] or range(3)"


def parse_param(text: str) -> Param:
    """Parses `log(1e-4, 1)`, `[lenet, mlp]`, `range(3)`, ..., and a condition: `... if EXPRESSION`.

    `uniform(a, b)`, `log(a, b)`, `int(a, b)` and `logint(a, b)` are ranges with both ends;
    `linspace(a, b, n)`, `geomspace(a, b, n)` and `range(n)` are lists.

    Raises:
      UserError: the text is none of these, or the range is empty.
    """
    values, separator, when = text.rpartition(" if ")
    if not separator:
        values, when = text, ""
    param = _parse_values(values.strip())
    return dataclasses.replace(param, when=when.strip()) if separator else param


def _parse_values(text: str) -> Param:
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise UserError(
            f"'{text}' is not a range or a list: take {_EXAMPLES}. Texts other than plain words "
            "need quotes."
        ) from error
    if isinstance(node, ast.List):
        return Choice(tuple(_value(item, text) for item in node.elts))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        if name not in _FUNCTIONS:
            raise UserError(f"There is no range '{name}'.{did_you_mean(name, _FUNCTIONS)}")
        arguments = [_value(item, text) for item in node.args]
        numbers = all(isinstance(a, (int, float)) and not isinstance(a, bool) for a in arguments)
        if node.keywords or not arguments or not numbers:
            raise UserError(f"'{text}': {name} takes numbers only, e.g. {_EXAMPLES}.")
        try:
            return _FUNCTIONS[name](*arguments)
        except TypeError as error:
            raise UserError(f"'{text}' cannot be: {error}.".replace("()", "")) from error
    raise UserError(f"'{text}' is not a range or a list: take {_EXAMPLES}.")


def _value(node: ast.expr, text: str) -> Any:
    """A number, a text, a word, or a tuple of them."""
    if isinstance(node, ast.Name):
        return {"true": True, "false": False, "none": None}.get(node.id.lower(), node.id)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(item, text) for item in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise UserError(
            f"'{text}': '{ast.unparse(node)}' is not a value; texts other than plain words need "
            "quotes."
        ) from error


def _count(count: int) -> int:
    if not isinstance(count, int) or count < 2:
        raise UserError(f"A list from one number to another needs 2 or more values, not {count!r}.")
    _check_length(count > _MOST_VALUES)
    return count


def _check_length(too_long: bool) -> None:
    if too_long:
        raise UserError(
            f"A list has at most {_MOST_VALUES} values: take a range, e.g. int(0, 1000000) or "
            "uniform(0, 1)."
        )


def _rounded(x: float) -> float:
    """Rounds off the last binary digits, which make 0.1 in geomspace(0.001, 10, 5) unreadable."""
    return float(f"{x:.12g}")
