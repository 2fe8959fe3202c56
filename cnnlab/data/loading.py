"""Loads a data set by name: one description and one source for each split, whatever its kind."""

import dataclasses
from pathlib import Path

from cnnlab.data.assembly import OwnSplits, assemble
from cnnlab.data.geometry.form import Wanted
from cnnlab.data.geometry.storage import in_memory, with_evaluation_in_memory
from cnnlab.data.reconcile import match_record, select_recorded
from cnnlab.data.source import Dataset, DatasetRecord
from cnnlab.data.sources import (
    digit_pairs,
    digit_scenes,
    digits,
    folder,
    label_table,
    mask_folder,
    tfds,
    tfds_masks,
)
from cnnlab.data.sources.duplicates import with_copies
from cnnlab.data.sources.files import FolderSplits, relative_names
from cnnlab.data.sources.tfds_builder import find_builder
from cnnlab.errors import UserError
from cnnlab.storage.memory import check_fits
from cnnlab.storage.mirror import local_data
from cnnlab.visible import visible

_FOLDER = "folder:"
_EMBEDDED = ("digits", "digit_scenes", "digit_pairs")
_MOST_EMBEDDED = 2_500  # images of one of these


def load(
    name: str,
    *,
    task: str = "classification",
    image_size: int | None = None,
    wanted: Wanted | None = None,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    mask_suffix: str = "",
    validation_fraction: float = 0.1,
    train_examples_per_class: int | None = None,
    window: tuple[float, float] | None = None,
    group_by: str | None = None,
    folds: int | None = None,
    fold: int = 0,
    record: DatasetRecord | None = None,
) -> Dataset:
    """Loads `digits`, `digit_scenes`, `folder:PATH`, or an image data set of TFDS.

    Sets that decode to at most 1 GiB are held in memory; others are decoded as they are read. Where
    training images are cropped at random, they are held in their own sizes.

    Args:
      name: name of the data set; `list_datasets` lists them. PATH may be an address in an object
        store, from which it is copied first.
      task: `classification`; `multilabel`: then labels are multi-hot, int32 [classes]; or
        `segmentation`: then labels are maps, uint8 [height, width], in which 255 is ignored.
      image_size: height and width to bring images to; None keeps the set's own.
      wanted: what else is asked of the size of images; its `image_size`, `maps` and `record` follow
        from the other arguments.
      data_dir: folder of TFDS data sets, also in an object store.
      manual_dir: archives for TFDS to prepare from.
      mask_suffix: what the names of masks in a folder have after those of their images, e.g.
        `_mask`.
      validation_fraction: share of the training split to hold out where the set has no validation
        split of its own; 0 holds out none. Which examples are held out is fixed; in a folder and
        in TFDS it does not depend on which other examples there are.
      train_examples_per_class: keep only so many of the training split, to learn from few labels;
        which ones is fixed as well. None keeps all.
      window: pixel values to map to 0 and 1, and to clip to, e.g. (-160, 240) of a CT; None takes
        0 and 255 for uint8, and the extremes of the training split for other types.
      group_by: keeps all files of a group in one split: a level of the path (1 is the first folder
        below PATH, -1 the one that a file lies in), or a regular expression that is searched in
        the path, e.g. `patient[0-9]+`; see `cnnlab.data.splits.group_names`.
      folds: cuts the training split into so many folds, of which one is held out for validation in
        place of `validation_fraction`.
      fold: which of them, from 0 on.
      record: of a run that was started on this data set with the same arguments; today's files are
        brought to it, see `cnnlab.data.reconcile`.

    >>> dataset = load("digits")
    >>> dataset.splits["train"].images.shape
    (1295, 28, 28, 1)

    Raises:
      UserError: an unknown name, a set that does not serve the task, data that cannot be had or
        read, or that do not fit `record`.
    """
    maps = task == "segmentation"
    wanted = dataclasses.replace(
        wanted or Wanted(), image_size=image_size, maps=maps, record=record and record.info
    )
    own = _read(name, task, wanted, data_dir, manual_dir, mask_suffix)
    if record is not None and own.paths is not None and record.paths is not None:
        dataset = select_recorded(own, record, all_recorded=train_examples_per_class is None)
        return with_evaluation_in_memory(dataset)
    dataset = assemble(
        own,
        validation_fraction=validation_fraction,
        train_examples_per_class=train_examples_per_class,
        window=window,
        group_by=group_by,
        folds=folds,
        fold=fold,
    )
    if own.root is not None:
        dataset = with_copies(dataset, own.root)
    dataset = with_evaluation_in_memory(dataset)
    return dataset if record is None else match_record(dataset, record)


def image_shape_and_classes(
    name: str,
    *,
    task: str = "classification",
    image_size: int | None = None,
    data_dir: str | None = None,
) -> tuple[tuple[int, int, int], int]:
    """Image shape and number of classes of a data set; nothing is downloaded or prepared.

    Raises:
      UserError: the data set cannot be read, as in `load`.
    """
    if is_of_tfds(name):
        return tfds.metadata(name, image_size, data_dir, masks=task == "segmentation")
    info = load(name, task=task, image_size=image_size).info
    return info.image_shape, info.num_classes


def is_at_hand(name: str, data_dir: str | None = None) -> bool:
    """Whether `load` would find the data set without preparing it first."""
    return not is_of_tfds(name) or find_builder(name, data_dir).is_prepared()


def is_of_tfds(name: str) -> bool:
    """Whether a data set is neither embedded nor a folder."""
    return name not in _EMBEDDED and not name.startswith(_FOLDER)


def load_own(
    name: str,
    *,
    task: str,
    image_size: int | None,
    data_dir: str | None,
    mask_suffix: str,
    record: DatasetRecord,
) -> OwnSplits:
    """The splits that a data set comes with, as a run evaluates images; nothing is held out.

    Args and Raises are those of `load`.
    """
    wanted = Wanted(image_size, maps=task == "segmentation", record=record.info)
    return _read(name, task, wanted, data_dir, None, mask_suffix)


def _read(
    name: str,
    task: str,
    wanted: Wanted,
    data_dir: str | None,
    manual_dir: str | None,
    mask_suffix: str,
) -> OwnSplits:
    """The splits that a data set comes with."""
    image_size = wanted.image_size
    masks = task == "segmentation"
    if name in _EMBEDDED:
        num_bytes = _MOST_EMBEDDED * (image_size or 1) ** 2
        check_fits(num_bytes, f"data.image_size={image_size}: {name} in memory")
    if name == "digit_scenes":
        if not masks:
            raise UserError(
                "data.name=digit_scenes has a label for each pixel and none for the image: set "
                "task=segmentation, or take another set, e.g. digits."
            )
        splits = digit_scenes.load_splits(image_size)
        shape = splits["train"][0]["image"].shape
        return OwnSplits(name, splits, digit_scenes.CLASS_NAMES, shape, fixed=True)
    if name == "digit_pairs":
        if task != "multilabel":
            raise UserError(
                "data.name=digit_pairs has two classes for each image: set task=multilabel, or "
                "take another set, e.g. digits."
            )
        splits = digit_pairs.load_splits(image_size)
        shape = splits["train"].images.shape[1:]
        return OwnSplits(name, splits, digit_pairs.CLASS_NAMES, shape, fixed=True)
    if name == "digits":
        if masks:
            raise UserError(tfds_masks.no_masks(name))
        splits = digits.load_splits(image_size)
        shape = splits["train"].images.shape[1:]
        return OwnSplits(name, splits, digits.CLASS_NAMES, shape, fixed=True)
    if name.startswith(_FOLDER):
        if name == _FOLDER:
            raise UserError("data.name=folder: lacks its path: folder:PATH.")
        path = local_data(name.removeprefix(_FOLDER))
        found = _folder(path, task, wanted, mask_suffix)
        paths = {
            split: relative_names(source.paths, found.root)
            for split, source in found.splits.items()
        }
        form = found.form
        splits = in_memory(found.splits, form)
        return OwnSplits(
            name, splits, tuple(map(visible, found.class_names)), form.shape, form, paths,
            dict(found.left_out), notes=found.notes, root=found.root,
        )  # fmt: skip
    splits, class_names, form = tfds.load_splits(name, wanted, data_dir, manual_dir)
    return OwnSplits(name, splits, class_names, form.shape, form)


def _folder(path: Path, task: str, wanted: Wanted, mask_suffix: str) -> FolderSplits:
    """What the reader finds that a folder, or a table of images, is for."""
    if task == "segmentation":
        return mask_folder.load_splits(path, wanted, mask_suffix=mask_suffix)
    if task == "multilabel" or label_table.is_table(path):
        return label_table.load_splits(path, wanted, several=task == "multilabel")
    return folder.load_splits(path, wanted)
