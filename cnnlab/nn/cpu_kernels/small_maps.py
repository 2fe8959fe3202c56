"""Convolutions of maps that are smaller than the kernel, by dense matrix products.

XLA takes the smaller of map and kernel for the kernel, turned round, and has no fast routine for
that on CPU: 128 maps of 2x2 with 128 channels take 19 ms with a 3x3 kernel, and their gradient as
long, in place of less than one each (benchmarks/conv_forms.py).
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

_Sides = tuple[tuple[int, int], tuple[int, int]]

# The dense matrix may have so many times the kernel's elements. 64 channels at 6x6 with a 7x7
# kernel, 26 times, still take 27 ms in place of 150; 256 at 7x7 with 8x8, 49 times, gain nothing.
_MOST = 32


def is_small(x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: _Sides) -> bool:
    """Whether a map, before or after the convolution, is smaller than the kernel."""
    sizes = _output_sizes(x, kernel, strides, padding)
    before, after = math.prod(x.shape[1:3]), math.prod(sizes)
    taps = math.prod(kernel.shape[:2])
    return taps > min(before, after) and before * after <= _MOST * taps


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def small_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: _Sides,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """The convolution of small maps (`is_small`).

    Args:
      x: [batch, height, width, channels].
      kernel: [kernel height, kernel width, channels, features].
      strides: strides along rows and columns.
      padding: rows above and below, columns before and behind.
      precision: of the products, as lax takes it.
    """
    if math.prod(x.shape[1:3]) < math.prod(kernel.shape[:2]):
        return _dense_conv(x, kernel, strides, padding, precision)
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=precision
    )


@small_conv.defjvp
def _small_conv_jvp(
    strides: tuple[int, int],
    padding: _Sides,
    precision: lax.PrecisionLike,
    primals: tuple[jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """For the gradient of the images, the transposed product: it convolves the small output."""
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    y = small_conv(x, kernel, strides, padding, precision)
    of_x = _dense_conv(x_dot, kernel, strides, padding, precision)
    return y, of_x + small_conv(x, kernel_dot, strides, padding, precision)


def _dense_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: _Sides,
    precision: lax.PrecisionLike,
) -> jax.Array:
    """As one product: nearly each pixel of the output sees each pixel of the input."""
    sizes = _output_sizes(x, kernel, strides, padding)
    # Row r of the output sees row y of the image through row y - r * stride + before of the kernel.
    # Where it has none, through zeros; a row that meets no image is cut off.
    sides = [
        ((size - 1) * stride - before, extent + before - taps, 0)
        for size, stride, (before, _), extent, taps in zip(
            sizes, strides, padding, x.shape[1:3], kernel.shape[:2], strict=True
        )
    ]
    around = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*sides, (0, 0, 0), (0, 0, 0)])
    starts = (
        [(size - 1 - r) * stride for r in range(size)]
        for size, stride in zip(sizes, strides, strict=True)
    )
    height, width = x.shape[1:3]
    seen = [
        around[top : top + height, left : left + width] for top, left in itertools.product(*starts)
    ]
    matrix = jnp.stack(seen, axis=3).reshape(math.prod(x.shape[1:]), -1)
    y = jnp.matmul(x.reshape(x.shape[0], -1), matrix, precision=precision)
    return y.reshape(x.shape[0], *sizes, kernel.shape[3])


def _output_sizes(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: _Sides
) -> tuple[int, int]:
    """Height and width of the output."""
    return tuple(
        (extent + before + after - taps) // stride + 1
        for extent, taps, stride, (before, after) in zip(
            x.shape[1:3], kernel.shape[:2], strides, padding, strict=True
        )
    )
