"""Max and average pooling (d2l.ai, sec. 7.5)."""

import numpy as np

from cnnlab.analysis.shapes import output_size
from cnnlab.analysis.textbook.cross_correlation import Pair, pair
from cnnlab.errors import UserError


def pool(
    x: np.ndarray, window: Pair, *, kind: str = "max", stride: Pair = 1, padding: Pair = 0
) -> np.ndarray:
    """Maximum or mean of each window of an image.

    Padded pixels are never the maximum. In the mean they count as zeros, as in flax and, by
    default, in PyTorch.

    Args:
      x: [height, width]; channels are pooled one by one.
      window: height and width of the window.
      kind: `max` or `avg`.
      stride: distance between windows along rows and columns.
      padding: pixels on each side, at most half a window, so that no window has only padding.

    Returns:
      An array with `output_size` rows and columns.

    Raises:
      UserError: an unknown kind, or too much padding.
    """
    if kind not in ("max", "avg"):
        raise UserError(f"Unknown pooling '{kind}': choose max or avg.")
    (tall, wide), (step_i, step_j), (pad_i, pad_j) = pair(window), pair(stride), pair(padding)
    if pad_i > tall // 2 or pad_j > wide // 2:
        raise UserError(f"A window of {tall}x{wide} takes no padding of {pad_i} and {pad_j}.")
    outside = -np.inf if kind == "max" else 0.0
    padded = np.full((x.shape[0] + 2 * pad_i, x.shape[1] + 2 * pad_j), outside)
    padded[pad_i : pad_i + x.shape[0], pad_j : pad_j + x.shape[1]] = x
    rows = output_size(x.shape[0], tall, step_i, pad_i)
    columns = output_size(x.shape[1], wide, step_j, pad_j)
    y = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            seen = padded[i * step_i : i * step_i + tall, j * step_j : j * step_j + wide]
            y[i, j] = seen.max() if kind == "max" else seen.mean()
    return y
