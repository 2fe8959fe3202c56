"""The data of a run: what its config asks for, and whether they fit it."""

import dataclasses
import math
from collections.abc import Callable

import jax
import numpy as np

from cnnlab.arrays import HParams
from cnnlab.config import Config
from cnnlab.config.objects import check_objects
from cnnlab.data import Dataset, DatasetInfo, DatasetRecord, is_at_hand, load
from cnnlab.data import image_shape_and_classes as data_shape
from cnnlab.data.describe import describe
from cnnlab.data.geometry.crops import TrainCrop, train_crop
from cnnlab.data.geometry.form import DEFAULT_SIZE, Wanted
from cnnlab.data.loading import is_of_tfds
from cnnlab.data.reconcile import match_record
from cnnlab.errors import UserError
from cnnlab.registry import DATASETS
from cnnlab.storage.memory import check_fits
from cnnlab.train.hparams import with_hparams
from cnnlab.train.pretrained_images import expected_images


def load_data(config: Config, record: DatasetRecord | None = None) -> Dataset:
    """Loads the data set that a config names.

    Args:
      config: the run's config.
      record: data description of an existing run, to which today's data are reconciled.

    Raises:
      UserError: the data cannot be read or do not match the record, or the run's data set was
        passed as an object.
    """
    check_objects(config, dataset=None)
    if config.data.image_size is not None:
        least = (config.data.image_size, config.data.image_size, 1)
        check_batches(least, config.batch_size, config.evaluation.batch_size)
    if _is_registered(config.data.name):
        dataset = DATASETS.find(config.data.name).load()(config)
        if not isinstance(dataset, Dataset):
            raise UserError(
                f"The data set '{config.data.name}' must be a cnnlab.data.Dataset, as of "
                f"cnnlab.data.from_arrays, and its function returns {type(dataset).__name__}."
            )
        info = dataclasses.replace(dataset.info, name=config.data.name)
        dataset = dataclasses.replace(dataset, info=info)
        return dataset if record is None else match_record(dataset, record)
    return load(
        config.data.name,
        image_size=config.data.image_size,
        wanted=_wanted(config),
        data_dir=config.data.data_dir,
        manual_dir=config.data.manual_dir,
        mask_suffix=config.data.mask_suffix,
        validation_fraction=config.data.validation_fraction,
        train_examples_per_class=config.data.train_examples_per_class,
        task=config.task,
        window=config.data.value_range,
        group_by=config.data.group_by,
        folds=config.data.folds,
        fold=config.data.fold,
        record=record,
    )


def image_shape_and_classes(
    config: Config, *, report: Callable[[str], None]
) -> tuple[tuple[int, int, int], int]:
    """Returns image shape and number of classes of the data that a config names; no download.

    Args:
      config: the run's config.
      report: receives lines that say how the data were understood. Of data sets of TFDS nothing but
        the metadata is read, and nothing reported.
    """
    data = config.data
    if not _is_registered(data.name) and is_of_tfds(data.name):
        return data_shape(
            data.name, task=config.task, image_size=data.image_size, data_dir=data.data_dir
        )
    dataset = load_data(config)
    for line in describe(dataset):
        report(line)
    return dataset.info.image_shape, dataset.info.num_classes


def data_is_at_hand(config: Config) -> bool:
    """Whether `load_data` works without a download."""
    name = config.data.name
    return _is_registered(name) or is_at_hand(name, config.data.data_dir)


def _is_registered(name: str) -> bool:
    entry = DATASETS.find(name)
    return entry is not None and entry.plugin is not None


def _wanted(config: Config) -> Wanted:
    """What a config, or the weights that it starts from, ask of the size of images."""
    data, augment = config.data, config.augment
    expected = expected_images(config.model.pretrained)
    resize = data.resize
    if resize == "auto":
        # What a run was trained on says nothing of how files of other sizes are to be read.
        resize = "squash" if expected.resize == "squash" else None
    return Wanted(
        resize=resize,
        crop_fraction=data.crop_fraction,
        expected_fraction=expected.crop_fraction or 1.0,
        interpolation=data.interpolation or expected.interpolation or "bicubic",
        default_size=expected.image_size or DEFAULT_SIZE,
        random_crops=augment.random_resized_crop or augment.pad_crop > 0,
    )


def crop_of(config: Config, info: DatasetInfo, hparams: HParams | None = None) -> TrainCrop | None:
    """How training images are cropped as they are read; None where they are not.

    Args:
      config: the run's config.
      info: of its data.
      hparams: values that replace those of the config, by their paths.
    """
    if not info.crops_as_read:
        return None
    drawn = {path: value for path, value in (hparams or {}).items() if "augment.crop_" in path}
    config = with_hparams(config, drawn)
    return train_crop(config.augment, info.image_shape[:2], lowest=info.value_range[0])


def check_labels(task: str, dataset: Dataset) -> None:
    """Raises a `UserError` if the data set's labels are for another task."""
    tasks = ("classification", "multilabel", "segmentation")
    kinds = ("one class for each image", "several classes for each image", "a label for each pixel")
    found = np.ndim(dataset.splits["train"][0]["label"])
    if task in tasks and tasks.index(task) != found:
        raise UserError(
            f"task={task} needs {kinds[tasks.index(task)]}, and {dataset.info.name} "
            f"has {kinds[found]}: set task={tasks[found]}, or choose another data set."
        )


def check_batches(
    image_shape: tuple[int, ...], batch_size: int, eval_batch_size: int | None
) -> None:
    """Raises a `UserError` if a batch of images does not fit into memory."""
    sizes = {"batch_size": batch_size, "evaluation.batch_size": eval_batch_size}
    for name, size in sizes.items():
        num_bytes = 4 * math.prod(image_shape) * (size or 0) // jax.process_count()
        shape = "x".join(map(str, image_shape))
        check_fits(num_bytes, f"{name}={size}: a batch of {shape} images as float32")
