"""Decides which images are held in memory, and in which size."""

import dataclasses
from collections.abc import Mapping

from cnnlab.data import cache
from cnnlab.data.geometry.form import Form
from cnnlab.data.geometry.image_source import ImageSource
from cnnlab.data.geometry.windows import Windows, windowed
from cnnlab.data.image import pixel_bytes
from cnnlab.data.source import Dataset, Source


def in_memory(splits: Mapping[str, ImageSource], form: Form) -> dict[str, Source]:
    """Holds the images of all splits in memory, unless they take more than 1 GiB.

    Args:
      splits: sources of a data set.
      form: how images are resized. If training crops at random, or evaluation uses windows, images
        are held in their own sizes if these are known; otherwise as in evaluation.
    """
    parts = any(isinstance(windowed(source), Windows) for source in splits.values())
    if not form.crops and not parts:
        if not small(splits):
            return dict(splits)
        return {split: source.decode() for split, source in splits.items()}
    if any(source.sizes is None for source in splits.values()):
        return dict(splits)
    if sum(map(_native_bytes, splits.values())) > cache.MAX_BYTES:
        return dict(splits)
    return {split: source.hold() for split, source in splits.items()}


def small(splits: Mapping[str, ImageSource]) -> bool:
    """Whether the images of all splits, as in evaluation, take at most 1 GiB."""
    return sum(map(_decoded_bytes, splits.values())) <= cache.MAX_BYTES


def with_evaluation_in_memory(dataset: Dataset) -> Dataset:
    """Decodes the evaluation splits of a data set whose training images are cropped at random.

    Splits that are read in windows or take more than 1 GiB are not decoded.
    """
    if not dataset.info.crops_as_read:
        return dataset
    others = {
        split: source
        for split, source in dataset.splits.items()
        if split != "train"
        and isinstance(source, ImageSource)
        and not isinstance(windowed(source), Windows)
    }
    if not small(others):
        return dataset
    decoded = {split: source.decode() for split, source in others.items()}
    return dataclasses.replace(dataset, splits={**dataset.splits, **decoded})


def _decoded_bytes(source: ImageSource) -> int:
    return len(source) * _example_bytes(source, *source.shape[:2])


def _native_bytes(source: ImageSource) -> int:
    return sum(_example_bytes(source, *size) for size in source.sizes.tolist())


def _example_bytes(source: ImageSource, height: int, width: int) -> int:
    labels = height * width if source.maps else 0
    return pixel_bytes((height, width, source.shape[2]), source.dtype) + labels
