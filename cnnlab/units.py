"""Counts, sizes and values of fields as tables and figures show them, to a few digits."""

from typing import Any


def short_count(number: float) -> str:
    """Returns `61.7 k`, `11.7 M`, `1.82 G`; below a thousand three digits."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def short_size(num_bytes: int) -> str:
    """Returns a size in KiB or MiB."""
    return f"{num_bytes / 2**10:,.0f} KiB" if num_bytes < 2**20 else f"{num_bytes / 2**20:,.1f} MiB"


def value_text(value: Any, *, digits: int = 4) -> str:
    """Returns a field's value, short enough for a table: `0.001`, `true`, `none`, `(3, 3)`.

    Args:
      value: a value that a config can have.
      digits: significant digits of a float.
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, list):
        return f"({', '.join(value_text(x, digits=digits) for x in value)})"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
