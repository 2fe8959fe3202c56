"""Computes the known arrays of a trace, such as matrices of interpolation and masks of windows.

JAX would compile a program for each operation and size, which takes far longer than the operation;
so NumPy computes them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def _iota(p: dict[str, Any]) -> np.ndarray:
    shape, axis = p["shape"], p["dimension"]
    line = np.arange(shape[axis], dtype=p["dtype"])
    return np.broadcast_to(line.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape)


def _broadcast_in_dim(p: dict[str, Any], x: np.ndarray) -> np.ndarray:
    shape = [1] * len(p["shape"])
    for source, target in enumerate(p["broadcast_dimensions"]):
        shape[target] = np.shape(x)[source]
    return np.broadcast_to(np.reshape(x, shape), p["shape"])


_FUNCTIONS = {
    "abs": np.abs, "add": np.add, "and": np.logical_and, "ceil": np.ceil, "div": np.true_divide,
    "eq": np.equal, "floor": np.floor, "ge": np.greater_equal, "gt": np.greater,
    "le": np.less_equal, "lt": np.less, "max": np.maximum, "min": np.minimum, "mul": np.multiply,
    "ne": np.not_equal, "neg": np.negative, "sub": np.subtract,
}  # fmt: skip
_OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "broadcast_in_dim": _broadcast_in_dim,
    "convert_element_type": lambda p, x: np.asarray(x).astype(p["new_dtype"]),
    "iota": _iota,
    "reduce_sum": lambda p, x: np.sum(x, axis=p["axes"], dtype=np.asarray(x).dtype),
    "reshape": lambda p, x: np.reshape(x, p["new_sizes"]),
    "select_n": lambda p, which, *cases: np.choose(np.asarray(which, int), cases),
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
}


def compute(eqn: Any, arguments: Sequence[Any]) -> list[Any]:
    """Returns the outputs of an equation whose inputs are all known."""
    name, out = eqn.primitive.name, eqn.outvars[0].aval
    # NumPy's `and` of integers and division of integers are other operations than JAX's.
    if name in _FUNCTIONS and (out.dtype.kind in "fb" or name in ("add", "mul", "sub")):
        return [np.asarray(_FUNCTIONS[name](*arguments), out.dtype)]
    if name in _OPERATIONS:
        return [_OPERATIONS[name](eqn.params, *arguments)]
    results = eqn.primitive.bind(*arguments, **eqn.params)
    return list(results) if eqn.primitive.multiple_results else [results]
