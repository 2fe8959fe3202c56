"""What a run makes of the examples of a split, and the examples to look at."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnnlab.data import IGNORE, Source, eval_batches
from cnnlab.data.source import take
from cnnlab.tasks.segmentation import center_crop
from cnnlab.train.restore import Run


class Predictions(NamedTuple):
    """Of classification, in the order of the examples.

    Attributes:
      probabilities: float32 [examples, classes].
      labels: int32 [examples].
    """

    probabilities: np.ndarray
    labels: np.ndarray


def predict_source(run: Run, source: Source) -> Predictions:
    """Probabilities and labels of every example of a source."""
    probabilities, labels = [], []
    for images, truth in _batches(run, source):
        probabilities.append(run.probabilities(images)[: len(truth)])
        labels.append(truth)
    return Predictions(np.concatenate(probabilities), np.concatenate(labels))


def wrong_pixels(run: Run, source: Source) -> np.ndarray:
    """Of segmentation: the share of each image's pixels that are wrong, float64 [examples].

    Pixels that are ignored do not count; an image without others has 0.
    """
    shares = []
    for images, truth in _batches(run, source):
        predicted = run.probabilities(images)[: len(truth)].argmax(-1)
        truth = center_crop(truth, predicted.shape[1:])
        counted = truth != IGNORE
        wrong = ((predicted != truth) & counted).sum(axis=(1, 2))
        shares.append(wrong / np.maximum(counted.sum(axis=(1, 2)), 1))
    return np.concatenate(shares)


def segment_example(
    run: Run, source: Source, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image uint8 [height, width, channels], true and predicted labels uint8 [height, width].

    Of a network without padding, the middle that it predicts.
    """
    example = source[int(number)]
    predicted = run.probabilities(example["image"][None]).argmax(-1)[0].astype(np.uint8)
    channels_first = np.moveaxis(example["image"], -1, 0)
    image = np.moveaxis(center_crop(channels_first, predicted.shape), 0, -1)
    return image, center_crop(example["label"][None], predicted.shape)[0], predicted


def most_confident(predictions: Predictions, count: int, *, right: bool = False) -> np.ndarray:
    """Numbers of the examples whose class is wrong, those with the surest answers first.

    Args:
      predictions: see there.
      count: how many, at most.
      right: those whose class is right instead.
    """
    chosen = predictions.probabilities.argmax(-1)
    numbers = np.flatnonzero((chosen == predictions.labels) == right)
    confidence = predictions.probabilities.max(-1)[numbers]
    return numbers[np.argsort(-confidence, kind="stable")][:count]


def in_batches(run: Run) -> Callable[[np.ndarray], np.ndarray]:
    """`run.probabilities` for any number of images, computed as many at a time as it evaluates."""
    size = run.config.evaluation.batch_size or run.config.batch_size

    def predict(images: np.ndarray) -> np.ndarray:
        parts = [run.probabilities(images[i : i + size]) for i in range(0, len(images), size)]
        return np.concatenate(parts)

    return predict


def spread_over(source: Source, count: int | None) -> Source:
    """That many examples at equal distances, because some sets are sorted by class; None is all."""
    if count is None or count >= len(source):
        return source
    return take(source, np.arange(count) * len(source) // count)


def _batches(run: Run, source: Source):
    """Images in batches of one shape, with the labels of those that are no padding."""
    size = run.config.evaluation.batch_size or run.config.batch_size
    for batch in eval_batches(source, batch_size=min(size, len(source))):
        count = int(batch["mask"].sum())
        yield batch["image"], batch["label"][:count]
