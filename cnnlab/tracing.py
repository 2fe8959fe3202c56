"""Numbers of a config that are traced: known when a program runs, not when it is compiled.

Runs that differ only in such numbers share one compiled program. Configs are checked before their
numbers are traced; code that builds a program may only use the questions below on a number.
"""

import sys
from typing import Any


def is_traced(value: Any) -> bool:
    """Whether a number is traced by jax, so that Python cannot branch on it."""
    # Configs are read without jax: before it is imported, no value can be one of its arrays.
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def is_on(value: Any, *, off: float = 0.0) -> bool:
    """Whether a number switches something on: it is not `off`.

    A traced number always does; if its value is `off`, the operation that it enables has no effect.
    """
    return is_traced(value) or value != off
