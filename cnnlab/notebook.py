"""Representations of objects in notebooks: one line, or a small table."""

import html
from collections.abc import Iterator, Mapping
from typing import Any


class Shown:
    """Base of objects with a one-line `repr` and an HTML table.

    Subclasses define `_summary`, the content of the line, and `_rows`, names and values of the
    table.
    """

    def _summary(self) -> str:
        raise NotImplementedError

    def _rows(self) -> Mapping[str, Any]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary()})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(str(name))}</th>'
            f'<td style="text-align:left">{html.escape(str(value))}</td></tr>'
            for name, value in self._rows().items()
        )
        title = html.escape(f"{type(self).__name__}: {self._summary()}")
        return f"<table><caption>{title}</caption>{rows}</table>"


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values of nested dicts: `("model.name", "lenet")`."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
