"""Numbers as the page's readers see them."""

from typing import Any

from cnnlab.tasks.words import NOTHING
from cnnlab.units import short_count


def show_big(number: float | None) -> str:
    return NOTHING if number is None else short_count(number)


def show_bytes(number: float | None) -> str:
    return NOTHING if number is None else f"{show_big(number)}B"


def show_duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def show_value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(show_value, value))
    if isinstance(value, float) and len(repr(value)) > 9:
        return f"{value:.6g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def color_of(group: int) -> str:
    """As the page's program has it."""
    return f"var(--c{group})" if group < 8 else f"hsl({group * 137.5 % 360} 60% 50%)"
