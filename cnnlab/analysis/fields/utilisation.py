"""Pixel utilisation: the number of kernel windows that each pixel is part of."""

import numpy as np

from cnnlab.analysis.shapes import output_size


def pixel_utilisation(
    shape: tuple[int, int],
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """Counts how often a convolution or pooling reads each pixel, per output channel.

    Without padding, pixels at the border are read less often than those inside (d2l.ai, sec.
    7.3.1); strides longer than the kernel leave some unread.

    >>> pixel_utilisation((5, 5), (3, 3))[0].tolist()
    [1, 2, 3, 2, 1]

    Args:
      shape: height and width of the image.
      kernel: height and width of the kernel.
      stride: distance between windows along rows and columns.
      padding: pixels on each side.
      dilation: distance between the kernel's weights.

    Returns:
      int [height, width].

    Raises:
      UserError: the kernel is larger than the padded image.
    """
    axes = zip(shape, kernel, stride, padding, dilation, strict=True)
    # A window is a product of rows and columns, so the counts are too.
    return np.outer(*(_along_axis(*axis) for axis in axes))


def _along_axis(size: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    counts = np.zeros(size, int)
    for start in range(output_size(size, kernel, stride, padding, dilation)):
        for u in range(kernel):
            pixel = start * stride + u * dilation - padding
            if 0 <= pixel < size:
                counts[pixel] += 1
    return counts
