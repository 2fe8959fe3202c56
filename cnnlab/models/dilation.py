"""What backbones share that dilate in place of strides (Chen et al. 2017, arXiv:1706.05587)."""

from cnnlab.errors import UserError


def check_output_stride(output_stride: int, *, finest: int, stem: str) -> None:
    """Raises a UserError for a stride that no map can be kept at.

    Args:
      output_stride: largest stride of a map; 0 dilates nothing.
      finest: stride from which on stages can dilate.
      stem: which gives that stride, for the message.
    """
    if output_stride and (output_stride < finest or output_stride.bit_count() > 1):
        raise UserError(
            f"output_stride={output_stride} must be a power of 2, at least {finest} with the "
            f"{stem} stem, or 0 to dilate nothing."
        )
