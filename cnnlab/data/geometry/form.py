"""Decides how the images of a data set are resized, from their sizes."""

import dataclasses
from collections.abc import Collection
from typing import NamedTuple

from cnnlab.data.geometry.placement import Geometry, Interpolation, Resize, Size
from cnnlab.data.source import DatasetInfo

# ImageNet's customary size, for images that do not agree on one.
DEFAULT_SIZE = 224
# Label maps are not scaled unless they are asked to be: larger images are then seen in patches.
DEFAULT_PATCH = 512


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Requested size of images, from a config or the record of a run.

    Attributes:
      image_size: height and width; None keeps the images' size if all have the same.
      resize: method of `Geometry`; None uses `shortest`, and for label maps `pad` with an
        `image_size` and `none` without.
      crop_fraction: share of the scaled image that is kept, as in `Geometry`.
      expected_fraction: default of `crop_fraction` unless images are only enlarged.
      interpolation: interpolation of `Geometry`.
      default_size: size if images differ in size and `image_size` is None.
      random_crops: whether training images are cropped at random.
      maps: whether labels are label maps.
      record: record of a run, which determines everything.
    """

    image_size: int | None = None
    resize: Resize | None = None
    crop_fraction: float | None = None
    expected_fraction: float = 1.0
    interpolation: Interpolation = "bicubic"
    default_size: int = DEFAULT_SIZE
    random_crops: bool = False
    maps: bool = False
    record: DatasetInfo | None = None


class Form(NamedTuple):
    """How the images of a data set are resized.

    Attributes:
      shape: height, width and channels of training images.
      dtype: dtype of the pixels.
      geometry: resizing of images that are not cropped at random.
      eval_size: height and width in evaluation.
      crops: whether training images are cropped at random as they are read.
      file_sizes: smallest and largest height and width of the files; None if not all are known.
    """

    shape: tuple[int, int, int]
    dtype: str
    geometry: Geometry
    eval_size: Size
    crops: bool = False
    file_sizes: tuple[Size, Size] | None = None

    @property
    def eval_shape(self) -> tuple[int, int, int]:
        return (*self.eval_size, self.shape[2])


def choose_form(sizes: Collection[Size] | None, channels: int, dtype: str, wanted: Wanted) -> Form:
    """Chooses how images of these sizes are resized.

    Args:
      sizes: heights and widths of all images; None if they are unknown, which `wanted` permits only
        for scaled images.
      channels: number of channels.
      dtype: dtype of the pixels.
      wanted: requested size of images.
    """
    extremes = None
    if sizes is not None:
        extremes = tuple(tuple(f(side) for side in zip(*sizes, strict=True)) for f in (min, max))
    if wanted.record is not None:
        info = wanted.record
        shape = (*info.image_shape[:2], info.image_shape[2])
        return Form(shape, dtype, info.geometry, info.eval_size, info.crops_as_read, extremes)
    same = sizes is not None and len(sizes) == 1
    resize, side = wanted.resize, wanted.image_size
    if resize is None:
        resize = "shortest"
        if wanted.maps:
            resize = "none" if side is None else "pad"
    if side is not None:
        frame = side, side
    elif same:
        (frame,) = sizes
    elif resize != "none":
        frame = wanted.default_size, wanted.default_size
    else:
        largest = extremes[1]
        frame = tuple(min(length, DEFAULT_PATCH) for length in largest) if wanted.maps else largest
    fit = sizes is not None and all(_fits(size, frame, resize) for size in sizes)
    fraction = wanted.crop_fraction
    if fraction is None:
        fraction = 1.0 if fit or wanted.maps else wanted.expected_fraction
    geometry = Geometry(resize, fraction, wanted.interpolation)
    eval_size, patches = frame, False
    if wanted.maps and resize == "none":
        largest = extremes[1]
        patches = any(length > part for length, part in zip(largest, frame, strict=True))
        if patches:
            pairs = zip(largest, frame, strict=True)
            eval_size = tuple(min(max(length, part), 2 * part) for length, part in pairs)
    cut = not fit or (fraction < 1 and resize != "pad")
    crops = patches or (wanted.random_crops and cut)
    return Form((*frame, channels), dtype, geometry, eval_size, crops, extremes)


def _fits(size: Size, frame: Size, resize: Resize) -> bool:
    """Whether an image fills its frame exactly, without cropping or padding."""
    if resize == "none":
        return size == frame
    return size[0] * frame[1] == size[1] * frame[0] and size[0] <= frame[0]
