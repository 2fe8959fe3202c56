"""Conditions between fields of a config, as small expressions: `batch_size * lr <= 64`.

Python's parser reads them and they are evaluated here, so that a text can only compare and
calculate.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

from cnnlab.errors import UserError, did_you_mean

Lookup = Callable[[str], Any]

UNSET = object()  # what a lookup gives for a field that a trial does not have

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda x, y: float(x) ** y,  # as floats, so that 9**9**9 is an error and not a day
}
_COMPARE = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda x, y: x in y,
    ast.NotIn: lambda x, y: x not in y,
}
_UNARY = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_FUNCTIONS = {"min": min, "max": max, "abs": abs, "sqrt": math.sqrt, "log": math.log, "len": len}
_WORDS = {"true": True, "false": False, "none": None}


class _Unset(Exception):
    """The expression names a field that this trial does not have, or whose value is None."""


class Expression:
    """A condition that can be evaluated repeatedly.

    Names with dots and known names are fields. Other words are texts if they are compared with a
    field, so `model.name == mlp` needs no quotes.

    Attributes:
      text: the original text.
      fields: fields that it reads.
    """

    def __init__(self, text: str, known: Iterable[str]):
        """Reads an expression.

        Args:
          text: comparisons, `and`, `or`, `not`, arithmetic, min, max, abs, sqrt, log, len, lists.
          known: existing fields.

        Raises:
          UserError: the text cannot be parsed, or names an unknown field.
        """
        self.text = text
        self._known = set(known)
        self.fields: set[str] = set()
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError) as error:
            raise UserError(
                f"'{text}' is not a condition; take e.g. 'optimizer.learning_rate * batch_size "
                "<= 64'."
            ) from error
        self._check(self._tree, word_allowed=False)

    def holds(self, lookup: Lookup) -> bool | None:
        """Whether the condition holds; None if it names an unset field.

        Args:
          lookup: returns the value of a field, or `UNSET`.

        Raises:
          UserError: it cannot be evaluated, e.g. a text is compared with a number.
        """
        try:
            return bool(self._compute(self._tree, lookup))
        except _Unset:
            return None
        except (TypeError, ValueError, ArithmeticError) as error:
            raise UserError(f"'{self.text}' cannot be computed: {error}.") from error

    def _check(self, node: ast.expr, word_allowed: bool) -> None:
        name = _dotted(node)
        if name is not None:
            if name.lower() in _WORDS:
                return
            if name in self._known:
                self.fields.add(name)
            elif "." in name or not word_allowed:
                hint = did_you_mean(name, self._known)
                if hint.startswith(" Choose") and len(self._known) > 12:
                    hint = " The help of the command train lists them."
                raise UserError(f"'{self.text}': there is no field '{name}'.{hint}")
            return
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                words = any(self._is_field(side) for side in sides) and all(
                    isinstance(op, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)) for op in node.ops
                )
                for side in sides:
                    self._check(side, words)
            case ast.BoolOp():
                for value in node.values:
                    self._check(value, False)
            case ast.BinOp() if type(node.op) in _BINARY:
                self._check(node.left, False)
                self._check(node.right, False)
            case ast.UnaryOp() if type(node.op) in _UNARY:
                self._check(node.operand, False)
            case ast.List() | ast.Tuple():
                for item in node.elts:
                    self._check(item, word_allowed)
            case ast.Call(func=ast.Name(id=function), keywords=[]) if function in _FUNCTIONS:
                for argument in node.args:
                    self._check(argument, False)
            case ast.Constant():
                pass
            case _:
                raise UserError(
                    f"'{self.text}': '{ast.unparse(node)}' is not allowed; a condition is made of "
                    f"comparisons, and, or, not, + - * / // % **, lists and the functions "
                    f"{', '.join(_FUNCTIONS)}."
                )

    def _is_field(self, node: ast.expr) -> bool:
        name = _dotted(node)
        return name is not None and ("." in name or name in self._known)

    def _compute(self, node: ast.expr, lookup: Lookup) -> Any:
        name = _dotted(node)
        if name is not None:
            if name in self.fields:
                value = lookup(name)
                if value is UNSET:
                    raise _Unset
                return value
            return _WORDS.get(name.lower(), name)

        def compute(part: ast.expr) -> Any:
            return self._compute(part, lookup)

        match node:
            case ast.Compare():
                return self._compare(node, compute)
            case ast.BoolOp(op=ast.And()):
                return all(compute(value) for value in node.values)
            case ast.BoolOp():
                return any(compute(value) for value in node.values)
            case ast.BinOp():
                left, right = compute(node.left), compute(node.right)
                if left is None or right is None:
                    raise _Unset
                return _BINARY[type(node.op)](left, right)
            case ast.UnaryOp():
                return _UNARY[type(node.op)](compute(node.operand))
            case ast.List() | ast.Tuple():
                return tuple(compute(item) for item in node.elts)
            case ast.Call():
                return _FUNCTIONS[node.func.id](*map(compute, node.args))
        return node.value

    def _compare(self, node: ast.Compare, compute: Callable[[ast.expr], Any]) -> bool:
        left = compute(node.left)
        for op, side in zip(node.ops, node.comparators, strict=True):
            right = compute(side)
            if isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)) and None in (left, right):
                raise _Unset
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True


def _dotted(node: ast.expr) -> str | None:
    """`a.b.c` for a name or attribute; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        parent = _dotted(node.value)
        return parent and f"{parent}.{node.attr}"
    return None
