"""What backbones share that dilate instead of strides (Chen et al. 2017, arXiv:1706.05587)."""

from collections.abc import Iterable

from cnnlab.errors import UserError


def check_output_stride(output_stride: int, *, finest: int, stem: str) -> None:
    """Raises a `UserError` for an impossible output stride.

    Args:
      output_stride: largest stride of a map; 0 dilates nothing.
      finest: stride from which on stages can dilate.
      stem: name of the stem with that stride, for the message.
    """
    if output_stride and (output_stride < finest or output_stride.bit_count() > 1):
        raise UserError(
            f"output_stride={output_stride} must be a power of 2, at least {finest} with the "
            f"{stem} stem, or 0 to dilate nothing."
        )


def dilated_blocks(
    strides: Iterable[int], *, stem_stride: int, output_stride: int, dilate_first: bool
) -> list[tuple[int, int]]:
    """Returns the stride and the dilation of each block of a backbone that may dilate.

    Args:
      strides: strides of the blocks without dilation.
      stem_stride: stride of the map before the first block.
      output_stride: largest stride of a map; 0 dilates nothing.
      dilate_first: whether the block that would stride is dilated as those after it.
    """
    total, dilation, blocks = stem_stride, 1, []
    for stride in strides:
        before = dilation
        total *= stride
        if output_stride and total > output_stride:
            total, dilation, stride = output_stride, dilation * stride, 1
        blocks.append((stride, dilation if dilate_first else before))
    return blocks
