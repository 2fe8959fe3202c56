"""Sources of images that are resized as they are read."""

import copy
import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data.geometry.crops import TrainCrop, crop_rng
from cnnlab.data.geometry.pixels import place_labels, place_pixels
from cnnlab.data.geometry.placement import Geometry, Place, Size, place_window
from cnnlab.data.image import read_image
from cnnlab.data.source import ArraySource, DatasetInfo, Example, as_labels

# Examples that are read together when all of a source is decoded.
_AT_ONCE = 64
Native = tuple[np.ndarray, Any]  # pixels in their own size, and the label
# Maps one label to another.
Relabel = Callable[[np.ndarray], np.ndarray]


class ImageSource(ABC):
    """Examples whose image files are decoded on demand.

    Examples are as in evaluation; `read_crops` returns those of training.

    Attributes:
      shape: height, width and channels after resizing.
      dtype: dtype of the pixels, which all files must have.
      geometry: how images are resized.
      sizes: int [examples, 2], height and width of each file; None if unknown.
      maps: whether labels are label maps.
    """

    maps = False

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: str = "uint8",
        geometry: Geometry | None = None,
        sizes: np.ndarray | None = None,
    ):
        self.shape, self.dtype, self.sizes = tuple(shape), dtype, sizes
        self.geometry = geometry or Geometry()
        self._held: list[Native] | None = None
        self._relabel: Relabel | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _fetch(self, indices: Sequence[int]) -> list[Any]:
        """Records that `_file` and `_label` read, of these examples."""

    @abstractmethod
    def _file(self, index: int, record: Any) -> tuple[str | Path | bytes, str | None]:
        """Image file of an example, and its name in messages if that is not its path."""

    @abstractmethod
    def _label(self, index: int, record: Any) -> Any:
        """Label of an example; label maps in their own size, uint8 [h, w]."""

    @abstractmethod
    def take(self, indices: np.ndarray) -> "ImageSource":
        """Returns the examples with these indices, in this order."""

    def __getitem__(self, index: int) -> Example:
        ((image, label),) = self._placed([int(index)], [self._place])
        return {"image": image, "label": label}

    def read_many(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and labels of the examples with these indices, stacked."""
        return self._stacked(indices, [self._place] * len(indices), self.shape[:2])

    def read_crops(
        self, indices: np.ndarray, crop: TrainCrop, *, seed: int, step: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns randomly cropped images and labels for training, each stacked on a first axis.

        Args:
          indices: indices of the examples.
          crop: the random crop; each draw is a function of seed, step and the example's index.
          seed: seed of the run.
          step: step of the batch.
        """

        def place(index: int) -> Place:
            rng = crop_rng(seed, step, index)
            return functools.partial(crop.draw, rng, geometry=self.geometry)

        return self._stacked(indices, [place(int(index)) for index in indices], crop.frame)

    def native(self, index: int) -> Native:
        """Returns the pixels of an example in their file's size, and its label."""
        if self._held is not None:
            return self._held[index]
        return next(self._placed([int(index)], [_whole]))

    def relabelled(self, relabel: Relabel) -> "ImageSource":
        """Returns the same examples with each label replaced by `relabel(label)`."""
        other = copy.copy(self)
        other._relabel = relabel
        if self._held is not None:
            other._held = [(pixels, relabel(np.asarray(label))) for pixels, label in self._held]
        return other

    @property
    def is_held(self) -> bool:
        """Whether all images are in memory in their own sizes."""
        return self._held is not None

    def hold(self) -> "ImageSource":
        """Returns the same examples, decoded now and held in their own sizes."""
        other = copy.copy(self)
        with ThreadPoolExecutor(_cores()) as pool:
            other._held = list(pool.map(self.native, range(len(self))))
        return other

    def decode(self) -> ArraySource:
        """Returns all examples in memory, as in evaluation."""
        images = np.empty((len(self), *self.shape), self.dtype)
        first = np.asarray(self[0]["label"])
        labels = np.empty((len(self), *first.shape), np.uint8 if first.ndim == 2 else np.int32)

        def fill(start: int) -> None:
            some = np.arange(start, min(start + _AT_ONCE, len(self)))
            images[some], labels[some] = self.read_many(some)

        with ThreadPoolExecutor(_cores()) as pool:
            list(pool.map(fill, range(0, len(self), _AT_ONCE)))
        return ArraySource(images, labels)

    def _place(self, size: Size) -> Any:
        return self.geometry.place(size, self.shape[:2])

    def _taken(self, indices: np.ndarray) -> "ImageSource":
        """Copy of this class's attributes for these examples."""
        other = copy.copy(self)
        other.sizes = None if self.sizes is None else self.sizes[indices]
        other._held = None if self._held is None else [self._held[int(i)] for i in indices]
        return other

    def _stacked(
        self, indices: np.ndarray, places: Sequence[Place], frame: Size
    ) -> tuple[np.ndarray, np.ndarray]:
        images = np.empty((len(indices), *frame, self.shape[2]), self.dtype)
        labels = []
        for row, (image, label) in enumerate(self._placed(indices.tolist(), places)):
            images[row] = image
            labels.append(label)
        return images, as_labels(np.array(labels))

    def _placed(self, indices: Sequence[int], places: Sequence[Place]) -> Iterator[Native]:
        interpolation, channels = self.geometry.interpolation, self.shape[2]
        if self._held is not None:
            for index, place in zip(indices, places, strict=True):
                pixels, label = self._held[index]
                placement = place(pixels.shape[:2])
                yield (
                    place_pixels(pixels, placement, channels, interpolation),
                    place_labels(label, placement) if np.ndim(label) == 2 else label,
                )
            return
        records = self._fetch(indices)
        for index, record, place in zip(indices, records, places, strict=True):
            file, name = self._file(index, record)
            label = self._label(index, record)
            if self._relabel is not None:
                label = self._relabel(np.asarray(label))
            if np.ndim(label) == 2:
                # One draw for both.
                place = _always(place(label.shape))
                label = place_labels(label, place(label.shape))
            image = read_image(
                file,
                self.shape,
                self.dtype,
                place=place,
                interpolation=interpolation,
                name=name,
            )
            yield image, label


def read_for(info: DatasetInfo, path: str | Path) -> np.ndarray:
    """Reads an image as in evaluation of a run, [height, width, channels].

    Raises:
      UserError: the file cannot be read, as in `read_image`.
    """
    place = functools.partial(info.geometry.place, frame=info.eval_shape[:2])
    return read_image(
        path, info.eval_shape, info.dtype, place=place, interpolation=info.interpolation
    )


def _whole(size: Size) -> Any:
    return place_window(size, size, (0, 0), size)


def _always(placement: Any) -> Place:
    return lambda size: placement


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
