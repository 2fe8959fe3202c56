"""Data sets: sources of examples and their description."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from cnnlab.data.geometry.placement import Geometry
from cnnlab.errors import UserError

Example = dict[str, Any]

# The label of pixels that count neither in losses nor in metrics; the largest of a uint8.
IGNORE = 255


class Source(Protocol):
    """Examples by index; grain's random access protocol."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example:
        """Returns `image` uint8, uint16 or float32 [height, width, channels], and `label`.

        A label is an int, a multi-hot int32 [classes], or a map uint8 [height, width].

        Sources that read many examples faster together also have a method `read_many`.
        """


def read_many(source: Source, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns images and labels of examples by index, each stacked on a first axis."""
    if hasattr(source, "read_many"):
        return source.read_many(indices)
    examples = [source[int(index)] for index in indices]
    return (
        np.stack([example["image"] for example in examples]),
        as_labels(np.stack([example["label"] for example in examples])),
    )


class ArraySource:
    """Examples in memory, each with one label, several labels, or one label per pixel.

    Attributes:
      images: uint8, uint16 or float32 [examples, height, width, channels]; may be a
        memory map.
      labels: int32 [examples]; or multi-hot int32 [examples, classes] of 0 and 1; or label maps
        uint8 [examples, height, width], in which 255 is ignored.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        if images.ndim != 4 or images.dtype not in (np.uint8, np.uint16, np.float32):
            raise UserError(
                "images must be uint8, uint16 or float32 [examples, height, width, channels], got "
                f"{images.dtype} {images.shape}."
            )
        if labels.ndim == 3:
            if labels.shape != images.shape[:3] or labels.dtype != np.uint8:
                raise UserError(
                    f"Images {images.shape} need label maps uint8 {images.shape[:3]}, got "
                    f"{labels.dtype} {labels.shape}."
                )
        elif labels.shape[:1] != images.shape[:1] or labels.ndim > 2:
            raise UserError(f"{len(images)} images need as many labels, got {labels.shape}.")
        self.images = images
        self.labels = as_labels(labels)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        return {"image": self.images[index], "label": self.labels[index]}

    def read_many(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and labels of the examples with these indices, stacked."""
        # Faster than indexing, by a tenth for 256 images of CIFAR-10.
        return self.images.take(indices, axis=0), self.labels.take(indices, axis=0)

    def take(self, indices: np.ndarray) -> "ArraySource":
        """Returns the examples with these indices, in this order."""
        return ArraySource(self.images[indices], self.labels[indices])


def as_labels(labels: np.ndarray) -> np.ndarray:
    """Converts labels to the dtype of batches: label maps are unchanged, others become int32."""
    return labels if np.ndim(labels) == 3 else np.asarray(labels, np.int32)


class Subset:
    """Some examples of another source, in a given order."""

    def __init__(self, source: Source, indices: np.ndarray):
        self._source, self._indices = source, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Example:
        return self._source[int(self._indices[index])]

    def read_many(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and labels of the examples with these indices, stacked."""
        return read_many(self._source, self._indices[indices])


def take(source: Source, indices: np.ndarray) -> Source:
    """Returns the examples with these indices, as the same kind of source if it supports that."""
    return source.take(indices) if hasattr(source, "take") else Subset(source, indices)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Description of a data set.

    Attributes:
      name: name as passed to `load`.
      class_names: names of the classes in the order of the labels.
      image_shape: height, width and channels.
      num_examples: number of examples in each split.
      mean: per-channel mean of pixels mapped to [0, 1] by `value_range`, over the training split.
      std: per-channel standard deviation, same length as `mean`; 1 for constant channels.
      dtype: dtype of the pixels, `uint8`, `uint16` or `float32`.
      value_range: pixel values that are mapped to 0 and 1 before normalisation: 0 and 255 for
        uint8, for other dtypes the smallest and largest of the training split.
      clip: whether pixels beyond `value_range` are clipped.
      resize: method of resizing, as in `Geometry`.
      crop_fraction: share of the scaled image that is kept, as in `Geometry`.
      interpolation: interpolation of resizing, as in `Geometry`.
      eval_size: height and width of images in evaluation; None uses `image_shape`.
      crops_as_read: whether training images are cropped at random as files are read, instead of
        by `augment.random_resized_crop` and `augment.pad_crop` on the device.
      file_sizes: smallest and largest height and width of the files; None if unknown.
      split_rules: how the examples of each split were chosen, in words.
      digests: SHA-256 of the sorted paths or indices of each split's examples; empty if they have
        none.
      class_counts: number of examples (pixels for label maps, positives for multi-hot labels) of
        each class in each split, without splits whose labels are known only after decoding.
      ignored: number of ignored pixels in each split; empty unless labels are label maps.
      observed: `min`, `max` and `levels` (number of distinct values) of the training split's
        pixels, from at most 2,048 images.
      left_out: number of files in the data folder that are not read, by reason.
      copies: number of files with the same bytes in two splits, by the names of the splits.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    num_examples: Mapping[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: str = "uint8"
    value_range: tuple[float, float] = (0.0, 255.0)
    clip: bool = False
    resize: str = "none"
    crop_fraction: float = 1.0
    interpolation: str = "bicubic"
    eval_size: tuple[int, int] | None = None
    crops_as_read: bool = False
    file_sizes: tuple[tuple[int, int], tuple[int, int]] | None = None
    split_rules: Mapping[str, str] = dataclasses.field(default_factory=dict)
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    class_counts: Mapping[str, list[int]] = dataclasses.field(default_factory=dict)
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)
    observed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    copies: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def geometry(self) -> Geometry:
        """How images are resized without a random crop."""
        return Geometry(self.resize, self.crop_fraction, self.interpolation)

    @property
    def eval_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of images in evaluation."""
        return (*(self.eval_size or self.image_shape[:2]), self.image_shape[2])

    def to_json(self) -> dict[str, Any]:
        """As a dict of JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "DatasetInfo":
        """Inverse of `to_json`; raises a `UserError` for missing or impossible values."""
        names = [field.name for field in dataclasses.fields(cls)]
        if missing := [name for name in names if name not in tree]:
            raise UserError(f"it lacks {', '.join(missing)}.")
        values = {name: tree[name] for name in names}
        info = cls(**{name: _tuples(value) for name, value in values.items()})
        for name, holds in _checks(info).items():
            if not holds:
                raise UserError(f"its {name} cannot be {tree[name]!r:.80}.")
        return info


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _checks(info: DatasetInfo) -> dict[str, bool]:
    """Checks by field whether its value is possible."""

    def numbers(values: Any, count: int, kinds: tuple[type, ...] = (int, float)) -> bool:
        known = isinstance(values, tuple) and len(values) == count
        return known and all(type(v) in kinds and np.isfinite(v) for v in values)

    def mapping(values: Any, kinds: tuple[type, ...]) -> bool:
        return isinstance(values, dict) and all(type(value) in kinds for value in values.values())

    def size(value: Any) -> bool:
        return numbers(value, 2, (int,)) and min(value) > 0

    names, sizes = info.class_names, info.file_sizes
    shape = numbers(info.image_shape, 3, (int,)) and min(info.image_shape) > 0
    channels = info.image_shape[2] if shape else 0
    return {
        "name": isinstance(info.name, str),
        "class_names": isinstance(names, tuple)
        and len(names) > 0
        and all(isinstance(name, str) for name in names),
        "image_shape": shape,
        "num_examples": mapping(info.num_examples, (int,))
        and {"train", "test"} <= info.num_examples.keys()
        and min(info.num_examples.values()) > 0,
        "mean": numbers(info.mean, channels),
        "std": numbers(info.std, channels) and min(info.std, default=1) > 0,
        "dtype": info.dtype in ("uint8", "uint16", "float32"),
        "value_range": numbers(info.value_range, 2) and info.value_range[0] < info.value_range[1],
        "clip": isinstance(info.clip, bool),
        "resize": isinstance(info.resize, str),
        "crop_fraction": numbers((info.crop_fraction,), 1) and 0 < info.crop_fraction <= 1,
        "interpolation": isinstance(info.interpolation, str),
        "eval_size": info.eval_size is None or size(info.eval_size),
        "crops_as_read": isinstance(info.crops_as_read, bool),
        "file_sizes": sizes is None
        or (isinstance(sizes, tuple) and len(sizes) == 2 and all(map(size, sizes))),
        "split_rules": mapping(info.split_rules, (str,)),
        "digests": mapping(info.digests, (str,)),
        "class_counts": mapping(info.class_counts, (list,)),
        "ignored": mapping(info.ignored, (int,)),
        "observed": mapping(info.observed, (int, float)),
        "left_out": mapping(info.left_out, (int,)),
        "copies": mapping(info.copies, (int,)),
    }


# The path of each example relative to the data folder, by split.
Paths = Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set: its description, and a source for each split.

    Attributes:
      info: description of the data set.
      splits: sources of `train`, `test` and, unless none was held out, `validation`.
      paths: paths of the examples of each split, in the order of its source; None if examples are
        not files of a folder.
      notes: sentences for the user about the data.
    """

    info: DatasetInfo
    splits: Mapping[str, Source]
    paths: Paths | None = None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class DatasetRecord:
    """A run's record of its data, with which later commands reconcile current files.

    Attributes:
      info: description of the data when the run started.
      paths: paths of the examples of each split, as in `Dataset`.
    """

    info: DatasetInfo
    paths: Paths | None = None

    def to_json(self) -> dict[str, Any]:
        """As a dict of JSON values."""
        return {"info": self.info.to_json(), "paths": self.paths and dict(self.paths)}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "DatasetRecord":
        """Inverse of `to_json`."""
        return cls(DatasetInfo.from_json(tree["info"]), tree["paths"])
