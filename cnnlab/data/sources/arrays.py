"""Data sets from a user's NumPy arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnlab.data.assembly import TEST_FRACTION, OwnSplits, assemble
from cnnlab.data.source import ArraySource, Dataset, Source
from cnnlab.errors import UserError


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str] | None = None,
    *,
    test: float | tuple[np.ndarray, np.ndarray] = TEST_FRACTION,
    validation_fraction: float = 0.1,
    name: str = "arrays",
) -> Dataset:
    """Creates a data set from arrays of images and labels.

    Held-out examples are chosen by a hash of their index, so examples stay in their split when
    others are appended.

    >>> dataset = from_arrays(images, labels, ["cat", "dog"])
    >>> fit(config, "runs/pets", dataset=dataset)

    Args:
      images: uint8, uint16 or float [examples, height, width, channels], or gray [examples,
        height, width]; floats are held as float32. Pixels of other dtypes than uint8 are mapped to
        [0, 1] from the smallest and largest value of the training split.
      labels: classes int [examples]; multi-hot [examples, classes] of 0 and 1, or bool; or label
        maps int [examples, height, width], in which 255 is ignored.
      class_names: names of the classes in the order of the labels; None uses their numbers.
      test: share of the examples to hold out for testing, in (0, 1); or the test split's own
        images and labels.
      validation_fraction: share of the training examples to hold out for validation, in [0, 1).
      name: name of the data set in messages and in the run's files.

    Raises:
      UserError: arrays have other shapes or dtypes, a label has no class, or there are too few
        examples.
    """
    splits: dict[str, Source] = {"train": _source(name, "train", images, labels)}
    if isinstance(test, tuple):
        splits["test"] = _source(name, "test", *test)
        if splits["test"].images.shape[1:] != splits["train"].images.shape[1:]:
            raise UserError(
                f"{name}: test images have the shape {splits['test'].images.shape[1:]}, and "
                f"training images {splits['train'].images.shape[1:]}: bring them to one shape."
            )
    elif not 0 < test < 1:
        raise UserError(
            f"{name}: test={test} must be a share of the examples above 0 and below 1, or a pair "
            "of images and labels."
        )
    if not 0 <= validation_fraction < 1:
        raise UserError(
            f"{name}: validation_fraction={validation_fraction} must be at least 0 and below 1."
        )
    train = splits["train"]
    if len({source.images.dtype for source in splits.values()}) > 1:
        raise UserError(
            f"{name}: test images are {splits['test'].images.dtype}, and training images "
            f"{train.images.dtype}: bring them to one type."
        )
    if class_names is None:
        class_names = [str(number) for number in range(_num_classes(train.labels))]
    own = OwnSplits(name, splits, tuple(class_names), train.images.shape[1:])
    return assemble(
        own,
        test_fraction=TEST_FRACTION if isinstance(test, tuple) else test,
        validation_fraction=validation_fraction,
    )


def _source(name: str, split: str, images: Any, labels: Any) -> ArraySource:
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype.kind == "f":
        images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise UserError(f"{name}: the {split} split has pixels that are not finite.")
    if images.ndim == 3:
        images = images[..., None]
    if labels.dtype == bool and labels.ndim == 2:
        labels = labels.astype(np.int32)
    if not np.issubdtype(labels.dtype, np.integer) and not _whole(labels):
        raise UserError(
            f"{name}: the {split} split needs labels that are integers, got {labels.dtype} "
            f"{labels.shape}."
        )
    if labels.ndim == 3:
        if labels.size and not 0 <= labels.min() <= labels.max() <= 255:
            raise UserError(
                f"{name}: label maps of the {split} split need values from 0 to 255, got "
                f"{labels.min()} to {labels.max()}."
            )
        labels = labels.astype(np.uint8)
    return ArraySource(images, labels)


def _whole(labels: np.ndarray) -> bool:
    """Whether labels with a float dtype are integers, as one-hot labels often are."""
    return np.issubdtype(labels.dtype, np.floating) and bool((labels == np.trunc(labels)).all())


def _num_classes(labels: np.ndarray) -> int:
    if labels.ndim == 2:
        return labels.shape[1]
    if labels.ndim == 3:
        labels = labels[labels != 255]
    return int(labels.max(initial=0)) + 1
