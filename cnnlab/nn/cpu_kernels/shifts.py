"""Cuts of an image, one for each place in a window that moves over it."""

import jax


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
