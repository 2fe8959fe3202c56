"""Placement of an image's pixels: a box of it, scaled, in a frame of fixed size."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

Size = tuple[int, int]  # height and width
Resize = Literal["shortest", "squash", "pad", "none"]
Interpolation = Literal["bicubic", "bilinear", "lanczos", "nearest"]


class Placement(NamedTuple):
    """One way to fill a frame from an image.

    Attributes:
      box: top, left, bottom, right of the part that is used, in pixels of the image.
      size: height and width to which it is scaled.
      corner: position of its first row and column in the frame.
      frame: height and width of the result.
      fill: value of the rest of the frame; None mirrors the image.
    """

    box: tuple[float, float, float, float]
    size: Size
    corner: Size
    frame: Size
    fill: float | None = None

    @property
    def cut(self) -> tuple[slice, slice] | None:
        """The box as slices of rows and columns if it is not scaled; else None."""
        top, left, bottom, right = self.box
        whole = all(float(edge).is_integer() for edge in self.box)
        if not whole or (bottom - top, right - left) != self.size:
            return None
        return slice(int(top), int(bottom)), slice(int(left), int(right))

    def of_smaller(self, size: Size, smaller: Size) -> "Placement":
        """Returns the same placement for an image of `size` that was decoded at size `smaller`."""
        down, along = smaller[0] / size[0], smaller[1] / size[1]
        top, left, bottom, right = self.box
        bottom, right = min(bottom * down, smaller[0]), min(right * along, smaller[1])
        return self._replace(box=(top * down, left * along, bottom, right))


# Decides where an image of that height and width goes.
Place = Callable[[Size], Placement]


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Deterministic resizing of images to a frame.

    Attributes:
      resize: `shortest` scales until the image covers the frame, enlarged by 1 / crop_fraction, and
        crops the center; `squash` scales height and width independently; `pad` scales until the
        image fits into the frame and mirrors it beyond its edges; `none` does not scale but crops
        the center or mirrors.
      crop_fraction: share of the scaled height and width that is kept, in (0, 1], for `shortest`
        and `squash`; timm's `crop_pct`.
      interpolation: `bicubic`, `bilinear`, `lanczos` or `nearest`; all but the last are
        antialiased.
    """

    resize: Resize = "shortest"
    crop_fraction: float = 1.0
    interpolation: Interpolation = "bicubic"

    def scaled_size(self, size: Size, frame: Size) -> Size:
        """Returns height and width to which a whole image is scaled before cropping.

        They are rounded as by torchvision's `Resize` and timm.
        """
        (height, width), (down, along) = size, frame
        if self.resize == "none":
            return size
        if self.resize != "pad":
            down, along = (int(side / self.crop_fraction) for side in frame)
        if self.resize == "squash":
            return down, along
        by_height = down * width > along * height  # the height needs the larger factor
        if self.resize == "pad":
            by_height = not by_height
        if by_height:
            return down, max(int(down * width / height), 1)
        return max(int(along * height / width), 1), along

    def place(self, size: Size, frame: Size) -> Placement:
        """Returns the placement of an image of height and width `size` in an evaluation frame."""
        if size == frame and (self.crop_fraction == 1 or self.resize in ("pad", "none")):
            return _whole(size)
        scaled = self.scaled_size(size, frame)
        # As torchvision's `CenterCrop` rounds.
        corner = [round((a - b) / 2) for a, b in zip(scaled, frame, strict=True)]
        return place_window(size, scaled, (corner[0], corner[1]), frame)


@functools.lru_cache(maxsize=16)
def _whole(size: Size) -> Placement:
    return Placement((0, 0, *size), size, (0, 0), size)


def place_window(
    size: Size, scaled: Size, corner: Size, frame: Size, fill: float | None = None
) -> Placement:
    """Returns the placement of a frame cropped from a scaled image.

    Args:
      size: height and width of the image.
      scaled: height and width after scaling.
      corner: first row and column of the frame in the scaled image; may be outside.
      frame: height and width of the frame.
      fill: value outside of the image; None mirrors it.
    """
    box, kept, inside = [], [], []
    for whole, length, start, side in zip(size, scaled, corner, frame, strict=True):
        first, last = max(start, 0), min(start + side, length)
        box.append((first * whole / length, last * whole / length))
        kept.append(last - first)
        inside.append(first - start)
    (top, bottom), (left, right) = box
    return Placement((top, left, bottom, right), tuple(kept), tuple(inside), tuple(frame), fill)


def mirrored(start: int, length: int, size: int) -> np.ndarray:
    """Indices from `start` on along an axis that is mirrored at its first and last pixel."""
    period = max(2 * (size - 1), 1)
    positions = np.arange(start, start + length) % period
    return np.minimum(positions, period - positions) if size > 1 else np.zeros_like(positions)
