"""Predictions of a run on a split, and selections of examples to show."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnnlab.data import IGNORE, Source, eval_batches
from cnnlab.data.geometry.windows import Windows, windowed
from cnnlab.data.source import take
from cnnlab.inference.run import Run
from cnnlab.tasks.segmentation import center_crop


class Predictions(NamedTuple):
    """Predictions of classification, in the order of the examples.

    Attributes:
      probabilities: float32 [examples, classes].
      labels: int32 [examples].
    """

    probabilities: np.ndarray
    labels: np.ndarray


def predict_source(run: Run, source: Source) -> Predictions:
    """Computes probabilities and labels of every example of a source."""
    probabilities, labels = [], []
    for images, truth in _batches(run, source):
        probabilities.append(run.probabilities(images)[: len(truth)])
        labels.append(truth)
    return Predictions(np.concatenate(probabilities), np.concatenate(labels))


def wrong_pixels(run: Run, source: Source) -> np.ndarray:
    """For segmentation: share of wrong pixels in each image, in [0, 1], float64 [examples].

    Ignored pixels do not count; images with only such pixels have 0.
    """
    seen = windowed(source)
    wrong, counted = [], []
    for images, truth in _batches(run, seen):
        predicted = run.probabilities(images)[: len(truth)].argmax(-1)
        truth = center_crop(truth, predicted.shape[1:])
        counts = truth != IGNORE
        wrong.append(((predicted != truth) & counts).sum(axis=(1, 2)))
        counted.append(counts.sum(axis=(1, 2)))
    wrong, counted = np.concatenate(wrong), np.concatenate(counted)
    if isinstance(seen, Windows):
        wrong, counted = (np.bincount(seen.owners, some) for some in (wrong, counted))
    return wrong / np.maximum(counted, 1)


def segment_example(
    run: Run, source: Source, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image uint8 [height, width, channels], true and predicted labels uint8 [height, width].

    For a network without padding, the center that it predicts.
    """
    example = source[int(number)]
    predicted = run.probabilities(example["image"][None]).argmax(-1)[0].astype(np.uint8)
    channels_first = np.moveaxis(example["image"], -1, 0)
    image = np.moveaxis(center_crop(channels_first, predicted.shape), 0, -1)
    return image, center_crop(example["label"][None], predicted.shape)[0], predicted


def most_confident(predictions: Predictions, count: int, *, right: bool = False) -> np.ndarray:
    """Returns the indices of wrongly classified examples, most confident first.

    Args:
      predictions: predictions of `predict_source`.
      count: largest number of indices.
      right: whether to select correctly classified examples instead.
    """
    chosen = predictions.probabilities.argmax(-1)
    numbers = np.flatnonzero((chosen == predictions.labels) == right)
    confidence = predictions.probabilities.max(-1)[numbers]
    return numbers[np.argsort(-confidence, kind="stable")][:count]


def in_batches(run: Run) -> Callable[[np.ndarray], np.ndarray]:
    """Wraps `run.probabilities` for any number of images, in batches of the evaluation's size."""
    size = run.config.evaluation.batch_size or run.config.batch_size

    def predict(images: np.ndarray) -> np.ndarray:
        parts = [run.probabilities(images[i : i + size]) for i in range(0, len(images), size)]
        return np.concatenate(parts)

    return predict


def spread_over(source: Source, count: int | None) -> Source:
    """Returns `count` examples spread evenly, as some sets are sorted by class; None is all."""
    if count is None or count >= len(source):
        return source
    return take(source, spread_numbers(len(source), count))


def spread_numbers(length: int, count: int | None) -> np.ndarray:
    """Numbers of the examples that `spread_over` takes of `length`."""
    count = min(count or length, length)
    return np.arange(count) * length // max(count, 1)


def _batches(run: Run, source: Source):
    """Batches of images of one shape, with the labels of those that are not padding."""
    size = run.config.evaluation.batch_size or run.config.batch_size
    for batch in eval_batches(source, batch_size=min(size, len(source))):
        count = int(batch["mask"].sum())
        yield batch["image"], batch["label"][:count]
