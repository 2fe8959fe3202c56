"""Occlusion: which parts of an image a class depends on, found by covering them."""

from collections.abc import Callable

import numpy as np


def occlusion(
    score: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    *,
    patch: int,
    stride: int,
    fill: float | np.ndarray,
) -> np.ndarray:
    """Decrease of a score when a square of the image is covered, for each place of the square.

    Zeiler & Fergus 2014, arXiv:1311.2901, sec. 4.2, who cover with gray and show the probability of
    the true class itself. The score can be any function of images.

    >>> drops = occlusion(lambda x: run.probabilities(x)[:, 3], images, patch=7, stride=2, fill=128)

    Args:
      score: maps images to one score each, [batch].
      images: [batch, height, width, channels], of any dtype.
      patch: side of the square in pixels.
      stride: pixels between places. The last place ends at the image's edge, so that every pixel is
        covered at least once; it can be closer to the previous one.
      fill: value of covered pixels: a number, or one per channel.

    Returns:
      float32 [batch, rows, columns], indexed by the squares' upper left corners; negative where the
      score increases. `pixel_means` maps them to pixels.
    """
    whole = np.asarray(score(images))
    rows, columns = (_places(extent, patch, stride) for extent in images.shape[1:3])
    drops = np.empty((len(images), len(rows), len(columns)), np.float32)
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            covered = images.copy()
            covered[:, top : top + patch, left : left + patch] = fill
            drops[:, i, j] = whole - np.asarray(score(covered))
    return drops


def pixel_means(drops: np.ndarray, size: tuple[int, int], *, patch: int, stride: int) -> np.ndarray:
    """Mean over all places that cover a pixel, float32 [batch, *size]."""
    total = np.zeros((len(drops), *size))
    counts = np.zeros(size)
    for i, top in enumerate(_places(size[0], patch, stride)):
        for j, left in enumerate(_places(size[1], patch, stride)):
            area = np.s_[top : top + patch, left : left + patch]
            total[:, *area] += drops[:, i, j, None, None]
            counts[area] += 1
    return (total / counts).astype(np.float32)


def _places(extent: int, patch: int, stride: int) -> list[int]:
    if not 0 < patch <= extent:
        raise ValueError(f"A patch of {patch} pixels does not fit into an image of {extent}.")
    return [*range(0, extent - patch, stride), extent - patch]
