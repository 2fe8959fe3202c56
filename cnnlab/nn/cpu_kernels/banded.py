"""Convolution with few channels as one matrix product.

With few channels, the products of a convolution are too thin for a matrix unit or a vector of
eight floats. So several neighbouring outputs of a row are computed at once: a stretch of input
columns, with all its channels and all kernel rows, times a band matrix in which the kernel is
repeated, each time shifted by one stride. Many entries of that matrix are zero; it is still far
faster than the thin products.
"""

import jax
import jax.numpy as jnp

# Columns of the band matrix worth having: fewer leave vectors empty, more only add zeros.
_WIDTH = 96


def banded_conv(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], precision=None
) -> jax.Array:
    """Convolves without padding.

    Args:
      x: [batch, height, width, inputs].
      kernel: [kernel height, kernel width, inputs, outputs].
      strides: strides along rows and columns.
      precision: passed to `jax.lax.dot_general`.
    """
    batch, height, width, _ = x.shape
    kernel_rows, kernel_columns, _, outputs = kernel.shape
    rows = (height - kernel_rows) // strides[0] + 1
    columns = (width - kernel_columns) // strides[1] + 1
    blocks = max(1, round(columns * outputs / _WIDTH))
    per_block = -(-columns // blocks)
    blocks = -(-columns // per_block)
    step, length = per_block * strides[1], (per_block - 1) * strides[1] + kernel_columns
    missing = max(0, (blocks - 1) * step + length - width)
    x = jnp.pad(x, ((0, 0), (0, 0), (0, missing), (0, 0)))
    last_row = (rows - 1) * strides[0] + 1
    windows = jnp.stack(
        [
            x[:, row : row + last_row : strides[0], block * step : block * step + length]
            for block in range(blocks)
            for row in range(kernel_rows)
        ],
        axis=2,
    )
    matrix = _band_matrix(kernel, per_block, strides[1])
    y = jnp.matmul(windows.reshape(-1, matrix.shape[0]), matrix, precision=precision)
    return y.reshape(batch, rows, blocks * per_block, outputs)[:, :, :columns]


def _band_matrix(kernel: jax.Array, per_block: int, stride: int) -> jax.Array:
    """Maps a stretch of columns to `per_block` outputs.

    Returns:
      [kernel height * length * inputs, per_block * outputs].
    """
    rows, columns, inputs, outputs = kernel.shape
    length = (per_block - 1) * stride + columns
    # Lines longer than `length` by the stride, laid end to end and cut at `length`: each line finds
    # its kernel moved on by one stride. No index is computed, so the gradient is as cheap.
    line = jnp.pad(kernel, ((0, 0), (0, length + stride - columns), (0, 0), (0, 0)))
    lines = jnp.broadcast_to(line[:, None], (rows, per_block, *line.shape[1:]))
    lines = lines.reshape(rows, -1, inputs, outputs)[:, : per_block * length]
    lines = lines.reshape(rows, per_block, length, inputs, outputs)
    return lines.transpose(0, 2, 3, 1, 4).reshape(-1, per_block * outputs)
