"""Parses a name with options: `asha(first=2, factor=4)`, or just `asha`."""

import ast
from collections.abc import Mapping

from cnnlab.errors import UserError, did_you_mean


def read_call(
    text: str, what: str, names: Mapping[str, Mapping[str, int]]
) -> tuple[str, dict[str, int]]:
    """Returns the name and the options in a text; options are whole numbers of at least 1.

    Args:
      text: `NAME` or `NAME(OPTION=NUMBER, ...)`.
      what: kind of the name, for messages.
      names: options of each name, with their defaults.

    Raises:
      UserError: the name or an option is unknown, or an option is not a number.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise UserError(f"'{text}' is not a {what}.{did_you_mean(text, names)}") from error
    keywords = []
    if isinstance(node, ast.Call) and not node.args:
        node, keywords = node.func, node.keywords
    name = node.id if isinstance(node, ast.Name) else text
    if name not in names:
        raise UserError(f"Unknown {what} '{name}'.{did_you_mean(name, names)}")
    options = dict(names[name])
    for keyword in keywords:
        if keyword.arg not in names[name]:
            raise UserError(
                f"'{text}': {name} has no option '{keyword.arg}'."
                f"{did_you_mean(str(keyword.arg), names[name])}"
            )
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"'{text}': {keyword.arg} must be a whole number of at least 1.")
        options[keyword.arg] = value
    return name, options
