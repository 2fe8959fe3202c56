"""Numbers of a config that are traced: known when a program runs, not when it is compiled.

Runs that differ only in such numbers share one compiled program. Checks see a config before its
numbers are traced; code that builds a program may ask of a number only what is asked here.
"""

from typing import Any

import jax


def is_traced(value: Any) -> bool:
    """Whether a number is jax's, so that Python cannot branch on it."""
    return isinstance(value, jax.Array)


def is_on(value: Any, *, off: float = 0.0) -> bool:
    """Whether a number switches something on: it is not `off`.

    A traced one always does. Where it happens to be `off`, what it switches on changes nothing.
    """
    return is_traced(value) or value != off
