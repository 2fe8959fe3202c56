"""Divides whole images of any size into windows of one size for evaluation."""

import functools
import itertools
from typing import NamedTuple

import numpy as np

from cnnlab.data.geometry.image_source import ImageSource, Native
from cnnlab.data.geometry.pixels import place_labels, place_pixels
from cnnlab.data.geometry.placement import Size, place_window
from cnnlab.data.source import IGNORE, Example, Source, as_labels

# Images that are kept decoded: windows are read in their order.
_RECENT = 4


class _Window(NamedTuple):
    """A window of an image.

    Attributes:
      example: index of its image.
      corner: its first row and column in the image.
      own: first and last row, first and last column, in the window, of the pixels that count.
    """

    example: int
    corner: Size
    own: tuple[int, int, int, int]


class Windows:
    """Windows that overlap, in which each pixel of each image has a label exactly once.

    In other windows it is ignored, so sums over all windows equal those over whole images. Each
    counted pixel has at least an eighth of a window around it, unless the image ends.

    Attributes:
      owners: index of each window's example, int [windows].
    """

    def __init__(self, source: ImageSource):
        self._source = source
        frame = source.shape[:2]
        self._windows = [
            _Window(example, (top, left), (*rows, *columns))
            for example, size in enumerate(source.sizes.tolist())
            for top, *rows in _spans(size[0], frame[0])
            for left, *columns in _spans(size[1], frame[1])
        ]
        self.owners = np.array([window.example for window in self._windows])
        self._native = functools.lru_cache(maxsize=_RECENT)(source.native)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Example:
        image, label = self._read(index)
        return {"image": image, "label": label}

    def read_many(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and labels of the windows with these indices, stacked."""
        images, labels = zip(*map(self._read, indices.tolist()), strict=True)
        return np.stack(images), as_labels(np.stack(labels))

    def _read(self, index: int) -> Native:
        window, source = self._windows[index], self._source
        pixels, label = self._native(window.example)
        size = label.shape
        placement = place_window(size, size, window.corner, source.shape[:2])
        labels = np.full(source.shape[:2], IGNORE, np.uint8)
        top, bottom, left, right = window.own
        own = slice(top, bottom), slice(left, right)
        labels[own] = place_labels(label, placement)[own]
        return place_pixels(pixels, placement, source.shape[2]), labels


def windowed(source: Source) -> Source:
    """Returns a source for evaluation: windows if images are neither scaled nor cropped.

    Args:
      source: source of a split.
    """
    if (
        isinstance(source, ImageSource)
        and source.maps
        and source.sizes is not None
        and source.geometry.resize == "none"
        and (source.sizes > np.array(source.shape[:2])).any()
    ):
        return Windows(source)
    return source


def _spans(length: int, side: int) -> list[tuple[int, int, int]]:
    """Windows along one axis: start, and first and last counted position."""
    if length <= side:
        start = round((length - side) / 2)
        return [(start, 0, side)]
    step = side - 2 * (side // 8)
    starts = [*range(0, length - side, step), length - side]
    ends = [(a + side + b) // 2 for a, b in itertools.pairwise(starts)]
    edges = [0, *ends, length]
    return [(start, edges[i] - start, edges[i + 1] - start) for i, start in enumerate(starts)]
