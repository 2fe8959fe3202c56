"""Pairs of handwritten digits with both as labels: a small data set for `multilabel`."""

import numpy as np

from cnnlab.data.source import ArraySource, Source
from cnnlab.data.sources import digits

CLASS_NAMES = digits.CLASS_NAMES


def load_splits(image_size: int | None) -> dict[str, Source]:
    """Combines each digit of a split with another of the same split, in opposite corners.

    Args:
      image_size: height and width in pixels; None means 28. Each digit has half of them.
    """
    side = (image_size or 28) // 2
    splits: dict[str, Source] = {}
    for split, source in digits.load_splits(side).items():
        draw = np.random.default_rng(len(source))
        other = draw.permutation(len(source))
        images = np.zeros((len(source), *[image_size or 28] * 2, 1), np.uint8)
        first, second = source.images, source.images[other]
        # The upper left and the lower right corner, or the upper right and the lower left.
        left = draw.random(len(source)) < 0.5
        images[left, :side, :side], images[left, -side:, -side:] = first[left], second[left]
        images[~left, :side, -side:], images[~left, -side:, :side] = first[~left], second[~left]
        labels = np.zeros((len(source), len(CLASS_NAMES)), np.int32)
        for numbers in (source.labels, source.labels[other]):
            labels[np.arange(len(source)), numbers] = 1
        splits[split] = ArraySource(images, labels)
    return splits
