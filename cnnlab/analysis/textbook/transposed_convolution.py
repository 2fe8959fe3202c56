"""Transposed convolution: every pixel adds its scaled kernel to the output.

d2l.ai, sec. 14.10; Dumoulin & Visin 2016, arXiv:1603.07285, chapter 4.
"""

import numpy as np

from cnnlab.analysis.shapes import output_size
from cnnlab.analysis.textbook.cross_correlation import Pair, pair


def transposed_convolve(
    x: np.ndarray,
    kernel: np.ndarray,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
) -> np.ndarray:
    """Adds x[i, j] * kernel to the output from (i * stride, j * stride) on.

    Args:
      x: [height, width].
      kernel: [kernel height, kernel width].
      stride: distance between the kernels of neighbouring pixels along rows and columns.
      padding: rows and columns that are cut off on each side of the output.
      output_padding: number of those that are kept on the last side.

    Returns:
      An array with `transposed_output_size` rows and columns.
    """
    (step_i, step_j), (cut_i, cut_j), (more_i, more_j) = map(
        pair, (stride, padding, output_padding)
    )
    tall, wide = kernel.shape
    rows = (x.shape[0] - 1) * step_i + tall
    columns = (x.shape[1] - 1) * step_j + wide
    # Room for what output_padding adds: rows that no kernel reaches.
    y = np.zeros((rows + more_i, columns + more_j), np.result_type(x, kernel))
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for u in range(tall):
                for v in range(wide):
                    y[i * step_i + u, j * step_j + v] += x[i, j] * kernel[u, v]
    return y[cut_i : rows - cut_i + more_i, cut_j : columns - cut_j + more_j]


def transposed_convolve_channels(
    x: np.ndarray,
    kernel: np.ndarray,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
) -> np.ndarray:
    """Transposed convolution with channels: each output sums the contributions of all inputs.

    Args:
      x: [height, width, inputs].
      kernel: [kernel height, kernel width, inputs, outputs].
      stride: distance between the kernels of neighbouring pixels along rows and columns.
      padding: rows and columns that are cut off on each side of the output.
      output_padding: number of those that are kept on the last side.

    Returns:
      [rows, columns, outputs].
    """
    inputs, outputs = kernel.shape[2:]
    options = {"stride": stride, "padding": padding, "output_padding": output_padding}
    channels = [
        sum(transposed_convolve(x[:, :, c], kernel[:, :, c, out], **options) for c in range(inputs))
        for out in range(outputs)
    ]
    return np.stack(channels, axis=-1)


def convolution_matrix(
    kernel: np.ndarray, shape: tuple[int, int], *, stride: Pair = 1, padding: Pair = 0
) -> np.ndarray:
    """Matrix W of a cross-correlation: the flattened output is W @ x for the flattened image x.

    The transposed convolution with the same kernel, stride and padding is W.T @ y.

    Args:
      kernel: [kernel height, kernel width].
      shape: height and width of the image.
      stride: distance between windows along rows and columns.
      padding: zeros on each side.

    Returns:
      [positions of the output, height * width].
    """
    (step_i, step_j), (pad_i, pad_j) = pair(stride), pair(padding)
    rows = output_size(shape[0], kernel.shape[0], step_i, pad_i)
    columns = output_size(shape[1], kernel.shape[1], step_j, pad_j)
    matrix = np.zeros((rows, columns, *shape), kernel.dtype)
    for i, j, u, v in np.ndindex(rows, columns, *kernel.shape):
        at_i, at_j = i * step_i + u - pad_i, j * step_j + v - pad_j
        if 0 <= at_i < shape[0] and 0 <= at_j < shape[1]:
            matrix[i, j, at_i, at_j] = kernel[u, v]
    return matrix.reshape(rows * columns, -1)
