"""How JAX's primitives propagate reach: one rule for each primitive that networks use.

A rule gets the equation and for each input its reach, a known array, or None for unknown values
that do not depend on the image, such as parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnlab.analysis.dependence import reach as r


class Reach:
    """Marks an array as a reach, as opposed to a known array of the trace.

    Attributes:
      array: int32 [3, ...], as in `cnnlab.analysis.dependence.reach`.
    """

    def __init__(self, array: np.ndarray):
        self.array = array


Value = Reach | np.ndarray | jax.Array | None
Rule = Callable[[Any, Sequence[Value]], np.ndarray | None]


def _shape(eqn: Any, number: int = 0) -> tuple[int, ...]:
    return eqn.invars[number].aval.shape


def _elementwise(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    return r.union(*(x.array for x in inputs if isinstance(x, Reach)))


def _broadcast_in_dim(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    shape = [1] * len(eqn.params["shape"])
    for source, target in enumerate(eqn.params["broadcast_dimensions"]):
        shape[target] = inputs[0].array.shape[source + 1]
    return inputs[0].array.reshape(3, *shape)


def _reshape(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    return r.reshaped(inputs[0].array, _shape(eqn), eqn.params["new_sizes"])


def _squeeze(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    return inputs[0].array.squeeze(tuple(a + 1 for a in eqn.params["dimensions"]))


def _transpose(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    return inputs[0].array.transpose(0, *(a + 1 for a in eqn.params["permutation"]))


def _rev(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    return np.flip(inputs[0].array, tuple(a + 1 for a in eqn.params["dimensions"]))


def _slice(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    array = inputs[0].array
    starts, stops = eqn.params["start_indices"], eqn.params["limit_indices"]
    steps = eqn.params["strides"] or [1] * len(starts)
    index = [
        slice(None) if size == 1 else slice(*bounds)
        for size, *bounds in zip(array.shape[1:], starts, stops, steps, strict=True)
    ]
    return r.compact(array[(slice(None), *index)])


def _pad(eqn: Any, inputs: Sequence[Value]) -> np.ndarray | None:
    if not isinstance(inputs[0], Reach):
        return None
    array = inputs[0].array
    for axis, config in enumerate(eqn.params["padding_config"]):
        array = r.padded(array, axis, _shape(eqn)[axis], *config)
    return r.compact(array)


def _concatenate(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    axis, rank = eqn.params["dimension"], len(_shape(eqn))
    parts = [
        r.written_out(
            x.array if isinstance(x, Reach) else r.of_constant(rank),
            axis,
            _shape(eqn, number)[axis],
        )
        for number, x in enumerate(inputs)
    ]
    common = [max(part.shape[a] for part in parts) for a in range(rank + 1)]
    parts = [
        np.broadcast_to(part, [part.shape[a] if a == axis + 1 else n for a, n in enumerate(common)])
        for part in parts
    ]
    return r.compact(np.concatenate(parts, axis + 1))


def _reduce(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    axes = eqn.params["axes"]
    return r.summed(inputs[0].array, axes).squeeze(tuple(a + 1 for a in axes))


def _reduce_window(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    array, p = inputs[0].array, eqn.params
    for axis, size in enumerate(_shape(eqn)):
        array = r.windowed(
            array,
            axis,
            size,
            extent=p["window_dimensions"][axis],
            stride=p["window_strides"][axis],
            padding=p["padding"][axis],
            base_dilation=p["base_dilation"][axis],
            dilation=p["window_dilation"][axis],
        )
    return array


def _convolution(eqn: Any, inputs: Sequence[Value]) -> np.ndarray | None:
    image, kernel = inputs
    p, (lhs, rhs, out) = eqn.params, eqn.params["dimension_numbers"]
    if isinstance(kernel, Reach) or p["batch_group_count"] != 1:
        return None
    array = image.array.transpose(0, *(a + 1 for a in lhs))  # [3, batch, channels, *spatial]
    groups, features = p["feature_group_count"], _shape(eqn, 1)[rhs[0]]
    if array.shape[2] > 1:
        array = array.reshape(*array.shape[:2], groups, -1, *array.shape[3:]).min(axis=3)
    for number, axis in enumerate(lhs[2:]):
        array = r.windowed(
            array,
            number + 2,
            _shape(eqn)[axis],
            extent=_shape(eqn, 1)[rhs[number + 2]],
            stride=p["window_strides"][number],
            padding=p["padding"][number],
            base_dilation=p["lhs_dilation"][number],
            dilation=p["rhs_dilation"][number],
        )
    if array.shape[2] > 1:
        array = r.compact(array.repeat(features // groups, axis=2))
    return array.transpose(0, *(1 + out.index(a) for a in range(len(out))))


def _dot_general(eqn: Any, inputs: Sequence[Value]) -> np.ndarray:
    contracting, batch = eqn.params["dimension_numbers"]
    parts = []
    for side in (0, 1):
        if not isinstance(inputs[side], Reach):
            continue
        array, other, rank = inputs[side].array, inputs[1 - side], len(_shape(eqn, side))
        shared, own = batch[side], contracting[side]
        free = [a for a in range(rank) if a not in shared and a not in own]
        others = len(_shape(eqn, 1 - side)) - len(shared) - len(own)
        order = [0, *(a + 1 for a in (*shared, *free))]
        known = other is not None and not isinstance(other, Reach)
        if known and len(own) == 1 and not shared and array.shape[own[0] + 1] > 1:
            there = np.moveaxis(np.asarray(other), contracting[1 - side][0], 0)
            matrix = there.reshape(len(there), -1)
            array = r.multiplied(array, own[0], len(there), matrix)
            array = array.reshape(*array.shape[:-1], *there.shape[1:])
        else:
            array = r.summed(array, own).transpose(*order, *(a + 1 for a in own))
            array = array.reshape(*array.shape[: len(order)], *[1] * others)
        if side == 1:  # the other side's free axes come first
            start = 1 + len(shared)
            moved = range(array.ndim - others, array.ndim)
            array = np.moveaxis(array, list(moved), list(range(start, start + others)))
        parts.append(array)
    return r.compact(r.union(*parts))


def _gather(eqn: Any, inputs: Sequence[Value]) -> np.ndarray | None:
    """Gathers the reach along the indexed axes if the indices are known."""
    operand, indices = inputs
    if not isinstance(operand, Reach) or indices is None or isinstance(indices, Reach):
        return None
    numbers, array = eqn.params["dimension_numbers"], operand.array
    indexed = {*numbers.start_index_map, *numbers.collapsed_slice_dims,
               *numbers.operand_batching_dims}  # fmt: skip
    sizes = list(eqn.params["slice_sizes"])
    for axis, size in enumerate(_shape(eqn)):
        if axis in indexed:
            array = r.written_out(array, axis, size)
        elif array.shape[axis + 1] == 1:
            sizes[axis] = 1
    gathered = [
        lax.gather(jnp.asarray(part), jnp.asarray(indices), numbers, sizes, mode="clip")
        for part in array
    ]
    return r.compact(np.stack(gathered))


_ELEMENTWISE = """
abs add add_any and atan2 cbrt ceil clamp convert_element_type copy copy_p cos cosh div eq erf
erf_inv erfc exp exp2 expm1 floor ge gt imag integer_pow is_finite le log log1p logistic lt max min
mul ne neg nextafter not or pow real reduce_precision rem round rsqrt select_n sign sin sinh sqrt
square stop_gradient sub tan tanh xor
"""
_REDUCTIONS = "argmax argmin reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum"
_WINDOWS = "reduce_window_max reduce_window_min reduce_window_sum"

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_REDUCTIONS.split(), _reduce),
    **dict.fromkeys(_WINDOWS.split(), _reduce_window),
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "dot_general": _dot_general,
    "gather": _gather,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _rev,
    "slice": _slice,
    "squeeze": _squeeze,
    "transpose": _transpose,
}
