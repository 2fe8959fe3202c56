"""Cuts of an image, one for each place in a window that moves over it, and its phases."""

import jax
import jax.numpy as jnp
from jax import lax


def cuts(
    x: jax.Array,
    window: tuple[int, ...],
    strides: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> list[jax.Array]:
    """What lies at each place of a window, wherever the window stands.

    Args:
      x: [batch, height, width, channels].
      window: height and width of the window first.
      strides: distance between windows along rows and columns.
      dilation: distance between the places of a window along rows and columns.

    Returns:
      For each place, in the order of `offsets`, [batch, rows, columns, channels].
    """
    height, width = (
        (extent - step * (taps - 1) - 1) // stride + 1
        for extent, step, taps, stride in zip(
            x.shape[1:3], dilation, window[:2], strides, strict=True
        )
    )
    return [
        x[
            :,
            top : top + (height - 1) * strides[0] + 1 : strides[0],
            left : left + (width - 1) * strides[1] + 1 : strides[1],
        ]
        for top, left in offsets(window, dilation)
    ]


def offsets(window: tuple[int, ...], dilation: tuple[int, int] = (1, 1)) -> list[tuple[int, int]]:
    """Row and column of each place in a window."""
    return [(i * dilation[0], j * dilation[1]) for i in range(window[0]) for j in range(window[1])]


def phases(x: jax.Array, strides: tuple[int, int]) -> list[list[jax.Array]]:
    """The maps [batch, rows, columns, channels] of each row and column within a stride."""
    batch, height, width, channels = x.shape
    zero = jnp.zeros((), x.dtype)
    edges = ((0, -height % strides[0], 0), (0, -width % strides[1], 0))
    x = lax.pad(x, zero, ((0, 0, 0), *edges, (0, 0, 0)))
    rows, columns = x.shape[1] // strides[0], x.shape[2] // strides[1]
    x = x.reshape(batch, rows, strides[0], columns, strides[1], channels)
    # Not slices, which are transposed into sums of padded maps: a split becomes a concatenation.
    return [
        [
            part.reshape(batch, rows, columns, channels)
            for part in lax.split(line, (1,) * strides[1], axis=4)
        ]
        for line in lax.split(x, (1,) * strides[0], axis=2)
    ]
