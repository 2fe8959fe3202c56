"""Builds a `Dataset` from a data set's own splits: checks, held-out splits, statistics."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnlab.data.geometry.form import Form
from cnnlab.data.geometry.placement import Geometry
from cnnlab.data.source import ArraySource, Dataset, DatasetInfo, Paths, Source, take
from cnnlab.data.splits import (
    fixed_fold,
    group_names,
    hashed_split,
    random_split,
    stratified_sample,
    stratified_split,
)
from cnnlab.data.statistics import (
    channel_statistics,
    class_counts,
    observed_values,
    value_range,
)
from cnnlab.errors import UserError

TEST_FRACTION = 0.2


@dataclasses.dataclass(frozen=True)
class OwnSplits:
    """A data set's own splits, before others are held out of `train`.

    Attributes:
      name: name of the data set, for messages and `DatasetInfo`.
      splits: `train` and, if present, `test` and `validation`.
      class_names: names of the classes in the order of the labels.
      image_shape: height, width and channels.
      form: how images are resized; None if all images have the same size.
      paths: paths of the examples of each split; None identifies examples by index.
      left_out: number of files that are not read, by reason.
      fixed: whether the data set never grows. Its held-out splits are then a fixed stratified
        sample; for others, a hash of each example's path or index decides.
      notes: sentences for the user.
      root: folder that `paths` are relative to; None if they are not files.
    """

    name: str
    splits: Mapping[str, Source]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    form: Form | None = None
    paths: Paths | None = None
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    fixed: bool = False
    notes: tuple[str, ...] = ()
    root: Path | None = None

    def check(self) -> None:
        """Raises a `UserError` for an empty split, or labels that no class has."""
        for split, source in self.splits.items():
            _check_labels(self.name, split, source, self.class_names)


def assemble(
    own: OwnSplits,
    *,
    test_fraction: float = TEST_FRACTION,
    validation_fraction: float = 0.1,
    train_examples_per_class: int | None = None,
    window: tuple[float, float] | None = None,
    group_by: str | None = None,
    folds: int | None = None,
    fold: int = 0,
) -> Dataset:
    """Holds out missing splits and describes the result.

    Args:
      own: the data set's own splits.
      test_fraction: share of the training split to hold out if there is no test split.
      validation_fraction: share of the remaining training split to hold out if there is no
        validation split; 0 holds out none.
      train_examples_per_class: number of training examples of each class to keep; None keeps all.
      window: pixel values that are mapped to 0 and 1 and clipped to; None uses 0 and 255 for uint8,
        and the range of the training split for other dtypes.
      group_by: groups examples as in `cnnlab.data.splits.group_names`; None does not group.
      folds: number of folds of the remaining training split, one of which is the validation
        split; None uses `validation_fraction`.
      fold: index of that fold, from 0.

    Raises:
      UserError: a split is empty, a label has no class, or there are too few examples to hold out.
    """
    own.check()
    name, class_names, splits = own.name, own.class_names, dict(own.splits)
    keys = {
        split: np.arange(len(source)) if own.paths is None else np.array(own.paths[split], object)
        for split, source in splits.items()
    }
    groups = _groups(own, group_by) if group_by else dict(keys)
    rules = dict.fromkeys(splits, "the data set's own")
    if folds and "validation" in splits:
        raise UserError(
            f"data.folds={folds} cuts the training split, and {name} has a validation split of its "
            "own: move its images into the training split, or leave data.folds unset."
        )
    for split, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        place = (fold, folds) if folds and split == "validation" else None
        if split in splits or not (fraction or place):
            continue
        train = splits["train"]
        labels = _single_labels(train)
        if not own.fixed:
            first, second = hashed_split(
                groups["train"], fraction, labels, class_names, name=name, held_out=split,
                fold=place,
            )  # fmt: skip
            key = f"group ({group_by})" if group_by else "index" if own.paths is None else "path"
            how = f"by a hash of each {key}"
        else:
            if place:
                single = np.zeros(len(train), np.int32) if labels is None else labels
                first, second = fixed_fold(single, place, class_names, name=name)
            elif labels is None:
                first, second = random_split(len(train), fraction, name=name, held_out=split)
            else:
                first, second = stratified_split(
                    labels, fraction, class_names, name=name, held_out=split
                )
            how = "by a fixed draw"
        part = f"fold {fold} of {folds}" if place else f"{fraction:g}"
        rules[split] = f"{part} of the training split, {how}"
        splits |= {"train": take(train, first), split: take(train, second)}
        for names in (keys, groups):
            names |= {"train": names["train"][first], split: names["train"][second]}
    if train_examples_per_class is not None:
        few = _few(name, splits["train"], class_names, train_examples_per_class)
        splits["train"], keys["train"] = take(splits["train"], few), keys["train"][few]
    limits = window or value_range(splits["train"])
    mean, std = channel_statistics(splits["train"], limits, clip=window is not None)
    form = own.form or _one_size(own)
    counts = {split: class_counts(source, len(class_names)) for split, source in splits.items()}
    info = DatasetInfo(
        name=name,
        class_names=tuple(class_names),
        image_shape=tuple(own.image_shape),
        num_examples={split: len(source) for split, source in splits.items()},
        mean=mean,
        std=std,
        dtype=str(splits["train"][0]["image"].dtype),
        value_range=limits,
        clip=window is not None,
        resize=form.geometry.resize,
        crop_fraction=form.geometry.crop_fraction,
        interpolation=form.geometry.interpolation,
        eval_size=form.eval_size,
        crops_as_read=form.crops,
        file_sizes=form.file_sizes,
        split_rules=rules,
        digests={split: _digest(keys[split]) for split in splits},
        class_counts={split: found.of_classes for split, found in counts.items() if found},
        ignored={
            split: found.ignored
            for split, found in counts.items()
            if found and found.ignored is not None
        },
        observed=observed_values(splits["train"]),
        left_out=own.left_out,
    )
    paths = None if own.paths is None else {split: keys[split].tolist() for split in splits}
    notes = own.notes
    if group_by:
        counts = ", ".join(f"{len(set(groups[split]))} {split}" for split in splits)
        notes += (f"groups by data.group_by={group_by}: {counts}.",)
    return Dataset(info, splits, paths, notes)


def _groups(own: OwnSplits, group_by: str) -> dict[str, np.ndarray]:
    """The group of each example; raises a `UserError` if own splits divide a group."""
    if own.paths is None:
        raise UserError(
            f"data.group_by={group_by} groups the files of a folder, and {own.name} has none: "
            "leave it unset."
        )
    groups = {
        split: np.array(group_names(paths, group_by, name=own.name), object)
        for split, paths in own.paths.items()
    }
    found: dict[str, str] = {}
    for split, names in groups.items():
        for group in dict.fromkeys(names):
            if found.setdefault(group, split) != split:
                raise UserError(
                    f"data.group_by={group_by}: the group '{group}' of {own.name} has images in "
                    f"both {found[group]} and {split}: move them into one split."
                )
    return groups


def _one_size(own: OwnSplits) -> Form:
    """Form of a data set without files: other images are scaled to its size, not label maps."""
    resize = "none" if np.ndim(own.splits["train"][0]["label"]) == 2 else "shortest"
    size = tuple(own.image_shape[:2])
    return Form(own.image_shape, "", Geometry(resize), size, file_sizes=(size, size))


def _digest(keys: np.ndarray) -> str:
    """SHA-256 of the sorted paths or indices of a split."""
    text = "\0".join(map(str, sorted(keys.tolist())))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _single_labels(source: Source) -> np.ndarray | None:
    """Single labels of all examples, if they are known without decoding images."""
    labels = getattr(source, "labels", None)
    return None if labels is None or labels.ndim > 1 else labels


def _check_labels(name: str, split: str, source: Source, class_names: Sequence[str]) -> None:
    if len(source) == 0:
        raise UserError(f"data.name={name}: its {split} split is empty.")
    labels = getattr(source, "labels", None)
    if labels is not None and labels.ndim == 2:
        if labels.shape[1] != len(class_names) or not np.isin(labels, (0, 1)).all():
            raise UserError(
                f"data.name={name}: the {split} split needs multi-hot labels of 0 and 1 "
                f"[{len(labels)}, {len(class_names)}], got {list(labels.shape)} with values from "
                f"{labels.min()} to {labels.max()}."
            )
        return
    low, high = _label_range(source)
    if not 0 <= low <= high < len(class_names):
        raise UserError(
            f"data.name={name}: the {split} split has labels from {low} to {high}, and "
            f"{len(class_names)} classes allow 0 to {len(class_names) - 1}."
        )


def _label_range(source: Source) -> tuple[int, int]:
    """Smallest and largest label that is not ignored; (0, 0) if none is known."""
    labels = _single_labels(source)
    if labels is not None:
        return int(labels.min()), int(labels.max())
    if not isinstance(source, ArraySource):
        return 0, 0
    # One more than each label: what is ignored then wraps to 0, below all others.
    highest = max(int((chunk + np.uint8(1)).max()) for chunk in source.labels)
    return 0, max(0, highest - 1)


def _few(name: str, train: Source, class_names: Sequence[str], per_class: int) -> np.ndarray:
    """Indices of the training examples that are kept."""
    labels = _single_labels(train)
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
    return stratified_sample(labels, per_class, class_names, name=name)
