"""Formulas for the sizes of feature maps."""

from cnnlab.errors import UserError


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int = 1,
    *,
    ceil: bool = False,
) -> int:
    """Output size of a convolution or pooling along one axis.

    floor((size + padding on both sides - dilation (kernel - 1) - 1) / stride) + 1

    >>> output_size(224, 7, stride=2, padding=3)
    112

    Args:
      size: size of the input in pixels.
      kernel: size of the kernel or window.
      stride: distance between windows.
      padding: pixels on each side, or before and after.
      dilation: distance between the kernel's weights.
      ceil: whether to keep a last window over the edge if it starts inside of the input or the
        padding before it (PyTorch's `ceil_mode`).

    Raises:
      UserError: the kernel is larger than the padded input.
    """
    before, after = (padding, padding) if isinstance(padding, int) else padding
    extent = dilation * (kernel - 1) + 1
    room = size + before + after - extent
    if room < 0:
        raise UserError(
            f"A kernel that spans {extent} pixels does not fit into {size} pixels with a padding "
            f"of {before} and {after}: it needs {-room} more."
        )
    steps, rest = divmod(room, stride)
    hangs_over = ceil and rest > 0 and (steps + 1) * stride < size + before
    return steps + 1 + hangs_over


def same_padding(kernel: int, dilation: int = 1) -> tuple[int, int]:
    """Returns the padding before and after that keeps the size at stride 1.

    For an even kernel, the last side gets one pixel more, as in TensorFlow and flax.
    """
    missing = dilation * (kernel - 1)
    return missing // 2, missing - missing // 2


def transposed_output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> int:
    """Output size of a transposed convolution along one axis.

    (size - 1) stride + kernel - 2 padding + output_padding

    Without `output_padding` it is the smallest size whose convolution with the same arguments has
    `size` positions.
    """
    return (size - 1) * stride + kernel - 2 * padding + output_padding
