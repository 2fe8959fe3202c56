"""What a data set is: sources of examples, and a description of them."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from cnnlab.errors import UserError

Example = dict[str, Any]

# The label of pixels that count neither in losses nor in metrics; the largest of a uint8.
IGNORE = 255


class Source(Protocol):
    """Examples by number; grain's random access protocol."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example:
        """`image` uint8 [height, width, channels] and `label`: int, or uint8 [height, width].

        A source that reads many examples faster together has a method `read_many` as well.
        """


def read_many(source: Source, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the examples with these numbers, each stacked on a first axis."""
    if hasattr(source, "read_many"):
        return source.read_many(indices)
    examples = [source[int(index)] for index in indices]
    return (
        np.stack([example["image"] for example in examples]),
        as_labels(np.stack([example["label"] for example in examples])),
    )


class ArraySource:
    """Examples held in memory, each with one label or with a label for each pixel.

    Attributes:
      images: uint8 [examples, height, width, channels]; may be mapped from a file.
      labels: int32 [examples], or label maps uint8 [examples, height, width], in which 255 is
        ignored.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        if images.ndim != 4 or images.dtype != np.uint8:
            raise UserError(
                "images must be uint8 [examples, height, width, channels], got "
                f"{images.dtype} {images.shape}."
            )
        if labels.ndim == 3:
            if labels.shape != images.shape[:3] or labels.dtype != np.uint8:
                raise UserError(
                    f"Images {images.shape} need label maps uint8 {images.shape[:3]}, got "
                    f"{labels.dtype} {labels.shape}."
                )
        elif labels.shape != images.shape[:1]:
            raise UserError(f"{len(images)} images need as many labels, got {labels.shape}.")
        self.images = images
        self.labels = as_labels(labels)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        return {"image": self.images[index], "label": self.labels[index]}

    def read_many(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `read_many`."""
        return self.images[indices], self.labels[indices]

    def take(self, indices: np.ndarray) -> "ArraySource":
        """The examples with these numbers, in this order."""
        return ArraySource(self.images[indices], self.labels[indices])


def as_labels(labels: np.ndarray) -> np.ndarray:
    """Labels in the type that batches carry: label maps as they are, single labels as int32."""
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
        """See `read_many`."""
        return read_many(self._source, self._indices[indices])


def take(source: Source, indices: np.ndarray) -> Source:
    """The examples with these numbers; a source of the same kind where that kind can be split."""
    return source.take(indices) if hasattr(source, "take") else Subset(source, indices)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What a network and its user must know of a data set.

    Attributes:
      name: as given to `load`.
      class_names: in the order of the labels.
      image_shape: height, width, channels.
      num_examples: of each split.
      mean: per channel, of pixels in [0, 1], over the training split.
      std: likewise; a constant channel has 1.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    num_examples: Mapping[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def to_json(self) -> dict[str, Any]:
        """As a dict of JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "DatasetInfo":
        """The inverse of `to_json`."""
        names = [field.name for field in dataclasses.fields(cls)]
        values = {name: tree[name] for name in names}
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set: its description, and a source for each split.

    Attributes:
      info: see `DatasetInfo`.
      splits: `train`, `test` and, unless none was held out, `validation`.
    """

    info: DatasetInfo
    splits: Mapping[str, Source]
