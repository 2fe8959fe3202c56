"""Whether a network's answer stays the same when the image is shifted."""

from collections.abc import Callable

import numpy as np

from cnnlab.analysis.corruptions import shift


def shifted_classes(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, *, max_shift: int
) -> np.ndarray:
    """The class of each image under all shifts of up to `max_shift` pixels on each axis.

    Args:
      predict: maps images to probabilities or logits [batch, classes].
      images: [batch, height, width, channels]; see `shift` for what comes in at the edges.
      max_shift: in pixels.

    Returns:
      Integers [batch, 2 * max_shift + 1, 2 * max_shift + 1]; no shift stands in the middle.
    """
    steps = range(-max_shift, max_shift + 1)
    classes = [
        [np.asarray(predict(shift(images, down, right))).argmax(-1) for right in steps]
        for down in steps
    ]
    return np.moveaxis(np.array(classes), -1, 0)


def consistency(classes: np.ndarray) -> float:
    """The probability that two different shifts of one image are given the same class.

    Zhang 2019, arXiv:1904.11486, sec. 4.1, who estimates it from random pairs; this is the mean
    over all pairs, and over images.

    Args:
      classes: of `shifted_classes`.
    """
    flat = np.sort(classes.reshape(len(classes), -1), axis=1)
    shifts = flat.shape[1]
    if shifts < 2:
        raise ValueError("A single shift has no other to agree with.")
    agreeing = 0
    for row in flat:
        counts = np.unique(row, return_counts=True)[1]
        agreeing += int((counts * (counts - 1)).sum())
    return agreeing / (len(flat) * shifts * (shifts - 1))


def consistency_map(classes: np.ndarray) -> np.ndarray:
    """For each shift, the share of images that keep the class they have unshifted, [rows, columns].

    Args:
      classes: of `shifted_classes`.
    """
    middle = classes.shape[1] // 2
    return (classes == classes[:, middle, middle, None, None]).mean(axis=0)
