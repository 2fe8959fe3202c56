"""Loads a data set by name: one description and one source for each split, whatever its kind."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnlab.data import digit_scenes, digits, folder, mask_folder, tfds, tfds_masks
from cnnlab.data.cache import MAX_BYTES
from cnnlab.data.source import ArraySource, Dataset, DatasetInfo, Source, take
from cnnlab.data.split import random_split, stratified_sample, stratified_split
from cnnlab.data.statistics import channel_statistics
from cnnlab.errors import UserError

_FOLDER = "folder:"


def load(
    name: str,
    *,
    task: str = "classification",
    image_size: int | None = None,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    validation_fraction: float = 0.1,
    train_examples_per_class: int | None = None,
) -> Dataset:
    """Loads `digits`, `digit_scenes`, `folder:PATH`, or an image data set of TFDS.

    Sets that decode to at most 1 GiB are held in memory; others are decoded as they are read.

    Args:
      name: see `list_datasets`.
      task: `classification`, or `segmentation`: then labels are maps, uint8 [height, width], in
        which 255 is ignored.
      image_size: height and width to bring images to; None keeps the set's own.
      data_dir: where TFDS data sets lie.
      manual_dir: archives for TFDS to prepare from.
      validation_fraction: share of the training split to hold out where the set has no validation
        split of its own; 0 holds out none. Which examples are held out is fixed.
      train_examples_per_class: keep only so many of the training split, to learn from few labels;
        which ones is fixed as well. None keeps all.

    >>> dataset = load("digits")
    >>> dataset.splits["train"].images.shape
    (1295, 28, 28, 1)

    Raises:
      UserError: an unknown name, a set that does not serve the task, or data that cannot be had or
        read.
    """
    splits: dict[str, Source]
    masks = task == "segmentation"
    if name == "digit_scenes":
        if not masks:
            raise UserError(
                "data.name=digit_scenes has a label for each pixel and none for the image: set "
                "task=segmentation, or take another set, e.g. digits."
            )
        splits = digit_scenes.load_splits(image_size)
        class_names = digit_scenes.CLASS_NAMES
        shape = splits["train"][0]["image"].shape
    elif name == "digits":
        if masks:
            raise UserError(tfds_masks.no_masks(name))
        splits = dict(digits.load_splits(image_size))
        class_names = digits.CLASS_NAMES
        shape = splits["train"].images.shape[1:]
    elif name.startswith(_FOLDER):
        if name == _FOLDER:
            raise UserError("data.name=folder: lacks its path: folder:PATH.")
        path = Path(name.removeprefix(_FOLDER)).expanduser()
        kind = mask_folder if masks else folder
        splits, class_names, shape = kind.load_splits(path, image_size)
        example_size = math.prod(shape) + (shape[0] * shape[1] if masks else 0)
        if sum(map(len, splits.values())) * example_size <= MAX_BYTES:
            splits = {split: source.decode() for split, source in splits.items()}
    else:
        splits, class_names, shape = tfds.load_splits(
            name, image_size, data_dir, manual_dir, masks=masks
        )
    for split, source in splits.items():
        _check_labels(name, split, source, class_names)
    splits = _with_held_out(name, splits, class_names, validation_fraction)
    if train_examples_per_class is not None:
        few = _few(name, splits["train"], class_names, train_examples_per_class)
        splits = splits | {"train": few}
    mean, std = channel_statistics(splits["train"])
    info = DatasetInfo(
        name=name,
        class_names=tuple(class_names),
        image_shape=tuple(shape),
        num_examples={split: len(source) for split, source in splits.items()},
        mean=mean,
        std=std,
    )
    return Dataset(info, splits)


def list_datasets() -> dict[str, str]:
    """Names that `load` takes, each with a line about it; TFDS has more of its kind."""
    lines = {
        "digits": "1,797 handwritten digits, 8x8 gray resized to 28x28; embedded, no download",
        "digit_scenes": "2,500 scenes of these digits over clutter, 64x64 gray; embedded",
        "folder:PATH": "your own images, as PATH/train/CLASS/*.png, or PATH/images and PATH/masks",
        **tfds.KNOWN,
    }
    return {name: f"{line} ({', '.join(_tasks(name))})" for name, line in lines.items()}


def _tasks(name: str) -> tuple[str, ...]:
    """The tasks that a listed data set serves."""
    if name in ("folder:PATH", "oxford_iiit_pet"):
        return "classification", "segmentation"
    segmentation = name == "digit_scenes" or name in tfds_masks.KNOWN
    return ("segmentation",) if segmentation else ("classification",)


def _labels(source: Source) -> np.ndarray | None:
    """Single labels of all examples, where they are known without decoding the images."""
    labels = getattr(source, "labels", None)
    return None if labels is None or labels.ndim == 3 else labels


def _check_labels(name: str, split: str, source: Source, class_names: tuple[str, ...]) -> None:
    if len(source) == 0:
        raise UserError(f"data.name={name}: its {split} split is empty.")
    low, high = _label_range(source)
    if not 0 <= low <= high < len(class_names):
        raise UserError(
            f"data.name={name}: the {split} split has labels from {low} to {high}, and "
            f"{len(class_names)} classes allow 0 to {len(class_names) - 1}."
        )


def _label_range(source: Source) -> tuple[int, int]:
    """Smallest and largest label, without those that are ignored; (0, 0) where none is known."""
    labels = _labels(source)
    if labels is not None:
        return int(labels.min()), int(labels.max())
    if not isinstance(source, ArraySource):
        return 0, 0
    # One more than each label: what is ignored then wraps to 0, below all others.
    highest = max(int((chunk + np.uint8(1)).max()) for chunk in source.labels)
    return 0, max(0, highest - 1)


def _with_held_out(
    name: str, splits: dict[str, Source], class_names: Sequence[str], fraction: float
) -> dict[str, Source]:
    """Adds the splits that are missing: test (a fifth, needed) and validation (as asked)."""
    for split, share in (("test", 0.2), ("validation", fraction)):
        if split in splits or not share:
            continue
        train = splits["train"]
        labels = _labels(train)
        if labels is None:
            first, second = random_split(len(train), share, name=name, held_out=split)
        else:
            first, second = stratified_split(labels, share, class_names, name=name, held_out=split)
        splits = splits | {"train": take(train, first), split: take(train, second)}
    return splits


def _few(name: str, train: Source, class_names: Sequence[str], per_class: int) -> Source:
    labels = _labels(train)
    if np.ndim(train[0]["label"]):
        raise UserError(
            f"data.train_examples_per_class={per_class}: an image of {name} has many classes, so "
            "images cannot be counted by class; leave it unset."
        )
    if labels is None:
        raise UserError(
            f"data.train_examples_per_class={per_class}: {name} is too large to be held in memory, "
            "so its labels are not known beforehand; set a smaller data.image_size, or leave it "
            "unset."
        )
    return take(train, stratified_sample(labels, per_class, class_names, name=name))
