"""Cross-correlation, the "convolution" of convolutional networks, and its gradient by hand.

d2l.ai, sec. 7.2 to 7.4; Dumoulin & Visin 2016, arXiv:1603.07285, chapter 2.
"""

import numpy as np

from cnnlab.analysis.shapes import output_size
from cnnlab.errors import UserError

Pair = int | tuple[int, int]


def pair(value: Pair) -> tuple[int, int]:
    """Returns the values for rows and columns."""
    return (value, value) if isinstance(value, int) else value


def pad(x: np.ndarray, padding: Pair, mode: str = "zero") -> np.ndarray:
    """Surrounds an image with pixels.

    Args:
      x: [height, width].
      padding: pixels above and below, and left and right; or one number for both.
      mode: `zero`, `edge` or `reflect`, as in `source`.

    Returns:
      [height + 2 * rows of padding, width + 2 * columns of padding].
    """
    rows, columns = pair(padding)
    height, width = x.shape
    padded = np.zeros((height + 2 * rows, width + 2 * columns), x.dtype)
    for i in range(padded.shape[0]):
        for j in range(padded.shape[1]):
            from_i, from_j = source(i - rows, height, mode), source(j - columns, width, mode)
            if from_i is not None and from_j is not None:
                padded[i, j] = x[from_i, from_j]
    return padded


def source(i: int, size: int, mode: str) -> int | None:
    """Returns which pixel of an axis is at position `i`, also outside; None means zero.

    `zero` has None outside. `edge` repeats the nearest pixel: 0 0 | 0 1 2 | 2 2. `reflect` mirrors
    at the outermost pixel without repeating it: 2 1 | 0 1 2 | 1 0.

    Raises:
      UserError: an unknown mode, or more pixels to reflect than there are.
    """
    if mode == "zero":
        return i if 0 <= i < size else None
    if mode == "edge":
        return min(max(i, 0), size - 1)
    if mode == "reflect":
        reflected = -i if i < 0 else 2 * (size - 1) - i if i >= size else i
        if not 0 <= reflected < size:
            raise UserError(f"An axis of {size} pixels can be reflected by {size - 1} at most.")
        return reflected
    raise UserError(f"Unknown padding mode '{mode}': choose zero, edge or reflect.")


def cross_correlate(
    x: np.ndarray, kernel: np.ndarray, *, stride: Pair = 1, padding: Pair = 0, mode: str = "zero"
) -> np.ndarray:
    """Sum of products of the kernel with each window of the image.

    y[i, j] = sum over u, v of x[i * stride + u, j * stride + v] * kernel[u, v]

    (A mathematical convolution flips the kernel first, which makes no difference for learned ones.)

    Args:
      x: [height, width].
      kernel: [kernel height, kernel width].
      stride: distance between windows along rows and columns.
      padding: pixels on each side, as in `pad`.
      mode: mode of the padding, as in `pad`.

    Returns:
      An array with `output_size` rows and columns.
    """
    (step_i, step_j), (pad_i, pad_j) = pair(stride), pair(padding)
    rows = output_size(x.shape[0], kernel.shape[0], step_i, pad_i)
    columns = output_size(x.shape[1], kernel.shape[1], step_j, pad_j)
    x = pad(x, padding, mode)
    y = np.zeros((rows, columns), np.result_type(x, kernel))
    for i in range(rows):
        for j in range(columns):
            for u in range(kernel.shape[0]):
                for v in range(kernel.shape[1]):
                    y[i, j] += x[i * step_i + u, j * step_j + v] * kernel[u, v]
    return y


def cross_correlate_channels(
    x: np.ndarray,
    kernel: np.ndarray,
    *,
    bias: np.ndarray | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    mode: str = "zero",
) -> np.ndarray:
    """Cross-correlation with channels: each output sums the correlations of all inputs.

    Args:
      x: [height, width, inputs].
      kernel: [kernel height, kernel width, inputs, outputs].
      bias: [outputs], added at every position.
      stride: distance between windows along rows and columns.
      padding: pixels on each side, as in `pad`.
      mode: mode of the padding, as in `pad`.

    Returns:
      [rows, columns, outputs].
    """
    inputs, outputs = kernel.shape[2:]
    channels = []
    for out in range(outputs):
        total = sum(
            cross_correlate(
                x[:, :, c], kernel[:, :, c, out], stride=stride, padding=padding, mode=mode
            )
            for c in range(inputs)
        )
        channels.append(total if bias is None else total + bias[out])
    return np.stack(channels, axis=-1)


def cross_correlate_gradients(
    x: np.ndarray,
    kernel: np.ndarray,
    cotangent: np.ndarray,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    mode: str = "zero",
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of sum(cotangent * cross_correlate_channels(x, kernel)), by the product rule.

    Each product x * kernel of the definition adds x to the kernel's gradient and the kernel to x's,
    weighted with the cotangent of its output. The gradient of a padded pixel is added to the pixel
    that it copies.

    Args:
      x: [height, width, inputs].
      kernel: [kernel height, kernel width, inputs, outputs].
      cotangent: [rows, columns, outputs], the gradient with respect to the output.
      stride: distance between windows along rows and columns.
      padding: pixels on each side, as in `pad`.
      mode: mode of the padding, as in `pad`.

    Returns:
      Gradients with respect to `x` and `kernel`, with their shapes.
    """
    (step_i, step_j), (pad_i, pad_j) = pair(stride), pair(padding)
    height, width, inputs = x.shape
    grad_x, grad_kernel = np.zeros(x.shape), np.zeros(kernel.shape)
    for i, j, out in np.ndindex(cotangent.shape):
        for u, v, c in np.ndindex(*kernel.shape[:2], inputs):
            from_i = source(i * step_i + u - pad_i, height, mode)
            from_j = source(j * step_j + v - pad_j, width, mode)
            if from_i is not None and from_j is not None:
                g = cotangent[i, j, out]
                grad_kernel[u, v, c, out] += g * x[from_i, from_j, c]
                grad_x[from_i, from_j, c] += g * kernel[u, v, c, out]
    return grad_x, grad_kernel
