"""Conditions between fields of a config, as small expressions: `batch_size * lr <= 64`.

Python evaluates them, once everything is refused that does not compare or calculate.
"""

import ast
import math
from collections.abc import Iterable, Mapping
from typing import Any

from cnnlab.errors import UserError, did_you_mean

_EQUALITY = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_SIGNS = (ast.USub, ast.UAdd, ast.Not)
_FUNCTIONS = {"min": min, "max": max, "abs": abs, "sqrt": math.sqrt, "log": math.log, "len": len}
_WORDS = {"true": True, "false": False, "none": None}


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
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError) as error:
            raise UserError(
                f"'{text}' is not a condition; take e.g. 'optimizer.learning_rate * batch_size "
                "<= 64'."
            ) from error
        tree.body = self._checked(tree.body)
        self._code = compile(ast.fix_missing_locations(tree), text, "eval")

    def holds(self, fields: Mapping[str, Any]) -> bool | None:
        """Whether the condition holds; None if it does not apply.

        It does not apply if it reads a field that is missing, or calculates with one that is None.

        Args:
          fields: values by path.

        Raises:
          UserError: it cannot be evaluated, e.g. a text is compared with a number.
        """
        names = {"__builtins__": {}, "fields": fields, "float": float, **_FUNCTIONS}
        try:
            return bool(eval(self._code, names))
        except KeyError:
            return None
        except (TypeError, ValueError, ArithmeticError) as error:
            if isinstance(error, TypeError) and None in map(fields.get, self.fields):
                return None
            raise UserError(f"'{self.text}' cannot be computed: {error}.") from error

    def _checked(self, node: ast.expr, word_allowed: bool = False) -> ast.expr:
        """Returns a node in which names are values of fields; raises for what is not allowed."""
        name = _dotted(node)
        if name is not None:
            return self._named(name, word_allowed)
        check = self._checked
        match node:
            case ast.Compare() if all(isinstance(op, _EQUALITY + _ORDER) for op in node.ops):
                sides = [node.left, *node.comparators]
                words = any(self._is_field(side) for side in sides) and all(
                    isinstance(op, _EQUALITY) for op in node.ops
                )
                node.left, *node.comparators = [check(side, words) for side in sides]
            case ast.BoolOp():
                node.values = list(map(check, node.values))
            case ast.BinOp(op=op) if isinstance(op, _ARITHMETIC):
                node.left, node.right = check(node.left), check(node.right)
                if isinstance(op, ast.Pow):  # of floats, so that 9**9**9 is an error and not a day
                    node.left = ast.Call(ast.Name("float", ast.Load()), [node.left], [])
            case ast.UnaryOp(op=op) if isinstance(op, _SIGNS):
                node.operand = check(node.operand)
            case ast.List() | ast.Tuple():
                return ast.Tuple([check(item, word_allowed) for item in node.elts], ast.Load())
            case ast.Call(func=ast.Name(id=function), keywords=[]) if function in _FUNCTIONS:
                node.args = list(map(check, node.args))
            case ast.Constant():
                pass
            case _:
                raise UserError(
                    f"'{self.text}': '{ast.unparse(node)}' is not allowed; a condition is made of "
                    f"comparisons, and, or, not, + - * / // % **, lists and the functions "
                    f"{', '.join(_FUNCTIONS)}."
                )
        return node

    def _named(self, name: str, word_allowed: bool) -> ast.expr:
        """The value of a field, or a word."""
        if name.lower() in _WORDS:
            return ast.Constant(_WORDS[name.lower()])
        if name in self._known:
            self.fields.add(name)
            return ast.Subscript(ast.Name("fields", ast.Load()), ast.Constant(name), ast.Load())
        if "." in name or not word_allowed:
            hint = did_you_mean(name, self._known)
            if hint.startswith(" Choose") and len(self._known) > 12:
                hint = " The help of the command train lists them."
            raise UserError(f"'{self.text}': there is no field '{name}'.{hint}")
        return ast.Constant(name)

    def _is_field(self, node: ast.expr) -> bool:
        name = _dotted(node)
        return name is not None and ("." in name or name in self._known)


def _dotted(node: ast.expr) -> str | None:
    """`a.b.c` for a name or attribute; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        parent = _dotted(node.value)
        return parent and f"{parent}.{node.attr}"
    return None
