"""Max pooling with windows that overlap or reach over the edge, for CPU."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnnlab.nn.cpu_kernels.shifts import cuts, offsets, phases

# Each value of a window adds to what XLA has to compile.
_MOST_VALUES = 25


def has_windowed_max(x: jax.Array, window: Sequence[int]) -> bool:
    """Whether `windowed_max` takes such maps and windows."""
    few = math.prod(window) <= _MOST_VALUES
    return x.ndim == 4 and few and jnp.issubdtype(x.dtype, jnp.floating)


def windowed_max(
    x: jax.Array,
    window: Sequence[int],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
) -> jax.Array:
    """Maximum of each window, as `flax.linen.max_pool`, also in the gradient of equal values.

    XLA's CPU compiler has no routine for the gradient: it writes the position of every value out
    several times. Here it is a sum of cuts of the padded cotangent, one for each value of a window
    and added apart for each row and column within a stride, so that no index is computed. The
    gradients of 3x3 windows take a quarter of the time or less (benchmarks/conv_forms.py).

    Args:
      x: [batch, height, width, channels], floats.
      window: height and width of a window.
      strides: distance between windows.
      padding: `VALID`, `SAME`, or pairs for height and width.
    """
    window, strides = tuple(window), tuple(strides)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], window, strides, padding)
    rows, columns = padding
    lowest = jnp.array(-jnp.inf, x.dtype)
    return _max(
        lax.pad(x, lowest, ((0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0))), window, strides
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _max(x: jax.Array, window: tuple[int, int], strides: tuple[int, int]) -> jax.Array:
    return functools.reduce(jnp.maximum, cuts(x, window, strides))


@_max.defjvp
def _max_jvp(
    window: tuple[int, int],
    strides: tuple[int, int],
    primals: tuple[jax.Array],
    tangents: tuple[jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """The tangent of the first largest value, as an expression whose transpose is the fast form."""
    ((x,), (x_dot,)) = primals, tangents
    chosen = _first_largest(cuts(x, window, strides))
    height, width = chosen.shape[1:3]
    by_phase = phases(x_dot, strides)
    # The maps of phases are padded, not cut, and their sum is cropped: transposed, the cotangent is
    # padded once and then cut.
    spans = [(taps - 1) // stride for taps, stride in zip(window, strides, strict=True)]
    missing = [a - b for a, b in zip(by_phase[0][0].shape[1:3], chosen.shape[1:3], strict=True)]
    nowhere = [(0, 0, 0), *((s, m, 0) for s, m in zip(spans, missing, strict=True)), (0, 0, 0)]
    chosen = lax.pad(chosen, jnp.int8(-1), nowhere)
    zero = jnp.zeros((), x.dtype)
    total = zero
    for number, (i, j) in enumerate(offsets(window)):
        down, right = i // strides[0], j // strides[1]
        moved = lax.pad(
            by_phase[i % strides[0]][j % strides[1]],
            zero,
            ((0, 0, 0), (spans[0] - down, down, 0), (spans[1] - right, right, 0), (0, 0, 0)),
        )
        total += jnp.where(chosen == number, moved, zero)
    top, left = spans
    return _max(x, window, strides), total[:, top : top + height, left : left + width]


def _first_largest(values: Sequence[jax.Array]) -> jax.Array:
    """Number of the first largest value of each window, int8."""
    largest, chosen = values[0], jnp.zeros(values[0].shape, jnp.int8)
    for number, value in enumerate(values[1:], start=1):
        chosen = jnp.where(value > largest, jnp.int8(number), chosen)
        largest = jnp.maximum(value, largest)
    return chosen
