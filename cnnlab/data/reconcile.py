"""Reconciles current data with a run's data description, or reports what does not match.

A run records class names, image shape and the list of its examples (`DatasetRecord`). A folder may
have grown since: images that the run does not know are left out, so that its scores stay the same.
Images that the run knows must still exist.
"""

import functools
from collections.abc import Sequence

import numpy as np

from cnnlab.data.assembly import OwnSplits
from cnnlab.data.geometry.image_source import ImageSource
from cnnlab.data.source import (
    IGNORE,
    ArraySource,
    Dataset,
    DatasetRecord,
    Example,
    Source,
    as_labels,
    read_many,
    take,
)
from cnnlab.errors import UserError

_WAY_OUT = "restore the data, or start a new run"


def select_recorded(own: OwnSplits, record: DatasetRecord, *, all_recorded: bool) -> Dataset:
    """Finds the examples of a run among the current files of a folder.

    Args:
      own: current splits, whose images already have the run's shape.
      record: the run's record, with paths.
      all_recorded: whether the run recorded all files that existed; otherwise, unknown files are
        not necessarily new.

    Raises:
      UserError: classes or images differ from the run's.
    """
    table = _label_table(own.name, own.class_names, record)
    own.check()
    places = {
        path: (split, index)
        for split, paths in own.paths.items()
        for index, path in enumerate(paths)
    }
    splits: dict[str, Source] = {}
    for split, paths in record.paths.items():
        missing = [path for path in paths if path not in places]
        if missing:
            raise UserError(
                f"{own.name}: {_images(missing)} of the run's {split} split (of {len(paths)}) "
                f"{_are(missing)} no longer there, e.g. '{missing[0]}': {_WAY_OUT}."
            )
        # All of a split come from one folder: those that were held out, from that of `train`.
        source = own.splits[places[paths[0]][0]]
        chosen = take(source, np.array([places[path][1] for path in paths]))
        splits[split] = chosen if table is None else relabel(chosen, table)
    known = {path for paths in record.paths.values() for path in paths}
    added = sorted(places.keys() - known)
    notes = ()
    if added and all_recorded:
        notes = (
            f"{own.name}: {_images(added)} added since the run was started {_are(added)} left out, "
            f"e.g. '{added[0]}'; the run's own {len(known)} are used.",
        )
    return Dataset(record.info, splits, record.paths, notes)


def match_record(dataset: Dataset, record: DatasetRecord) -> Dataset:
    """Returns the examples of a run, labelled and described as in the run.

    Args:
      dataset: the current data set.
      record: the run's record.

    Raises:
      UserError: classes, image shape or splits differ from the run's.
    """
    info, name = record.info, dataset.info.name
    table = _label_table(name, dataset.info.class_names, record)
    if dataset.info.image_shape != info.image_shape:
        raise UserError(
            f"{name}: images have the shape {_shape(dataset.info.image_shape)}, and the run was "
            f"started with {_shape(info.image_shape)}: {_WAY_OUT}."
        )
    for split in sorted(info.num_examples.keys() | dataset.info.num_examples.keys()):
        then, now = (tree.num_examples.get(split, 0) for tree in (info, dataset.info))
        if then != now:
            raise UserError(
                f"{name}: the {split} split has {now} examples, and the run was started with "
                f"{then}: {_WAY_OUT}."
            )
        if dataset.info.digests.get(split) != info.digests.get(split):
            raise UserError(
                f"{name}: the {split} split has {now} examples as when the run was started, but "
                f"they are others: {_WAY_OUT}."
            )
    splits = dataset.splits
    if table is not None:
        splits = {split: relabel(source, table) for split, source in splits.items()}
    return Dataset(info, splits, dataset.paths, dataset.notes)


def to_run_labels(source: Source, own: OwnSplits, record: DatasetRecord) -> Source:
    """Maps the labels of another data set's split to a run's, by class name.

    Raises:
      UserError: the run does not have one of the classes.
    """
    ours = record.info.class_names
    new = [name for name in own.class_names if name not in ours]
    if new:
        raise UserError(
            f"{own.name} has classes that the run does not know: {_listed(new)} not among "
            f"{', '.join(ours[:8])}{', ...' if len(ours) > 8 else ''}. Rename the classes, or "
            "leave their images out."
        )
    table = np.array([ours.index(name) for name in own.class_names], np.int32)
    return relabel(source, table, len(ours))


def _label_table(name: str, today: Sequence[str], record: DatasetRecord) -> np.ndarray | None:
    """The run's label for each current label; None if they are equal."""
    ours = record.info.class_names
    if tuple(today) == tuple(ours):
        return None
    missing = [c for c in ours if c not in today]
    new = [c for c in today if c not in ours]
    if missing or new:
        parts = [f"{_listed(missing)} missing"] if missing else []
        parts += [f"{_listed(new)} new"] if new else []
        raise UserError(
            f"{name} has other classes than the run was started with: {' and '.join(parts)}. "
            "Rename or move the classes back, or start a new run."
        )
    return np.array([ours.index(c) for c in today], np.int32)


class _Relabelled:
    """A source whose labels are mapped by a table."""

    def __init__(self, source: Source, table: np.ndarray, num_classes: int):
        self._source, self._table, self._num_classes = source, table, num_classes

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Example:
        example = self._source[index]
        return example | {
            "label": _replaced(np.asarray(example["label"]), self._table, self._num_classes)
        }

    def read_many(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and relabelled labels of the examples with these indices, stacked."""
        images, labels = read_many(self._source, indices)
        return images, as_labels(_replaced(labels, self._table, self._num_classes, batched=True))


def relabel(source: Source, table: np.ndarray, num_classes: int | None = None) -> Source:
    """Replaces each label by `table[label]`, also in label maps and multi-hot labels.

    Multi-hot labels get `num_classes` columns, by default as many as the table has.
    """
    num_classes = num_classes or len(table)
    if isinstance(source, ImageSource):
        replaced = functools.partial(_replaced, table=table, num_classes=num_classes)
        return source.relabelled(replaced)
    if isinstance(source, ArraySource):
        labels = _replaced(source.labels, table, num_classes, batched=True)
        return ArraySource(source.images, labels)
    return _Relabelled(source, table, num_classes)


def _replaced(
    labels: np.ndarray, table: np.ndarray, num_classes: int, *, batched: bool = False
) -> np.ndarray:
    dimensions = labels.ndim - batched
    if dimensions == 0:
        return table[labels]
    if dimensions == 1:
        replaced = np.zeros((*labels.shape[:-1], num_classes), labels.dtype)
        replaced[..., table] = labels
        return replaced
    maps = np.full(IGNORE + 1, IGNORE, np.uint8)
    maps[: len(table)] = table
    return maps[labels]


def _images(found: Sequence[str]) -> str:
    return f"{len(found)} image{'s' if len(found) != 1 else ''}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return f"{shown}{' and others' if len(names) > 5 else ''} {_are(names)}"


def _are(found: Sequence[str]) -> str:
    return "is" if len(found) == 1 else "are"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
