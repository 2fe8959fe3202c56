"""How often the predicted class stays the same when the image is shifted."""

from collections.abc import Callable

import numpy as np

from cnnlab.analysis.evaluation.corruptions import shift


def shifted_classes(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, *, max_shift: int
) -> np.ndarray:
    """Predicts the class of each image under all shifts of up to `max_shift` pixels per axis.

    Args:
      predict: maps images to probabilities or logits [batch, classes].
      images: [batch, height, width, channels]; pixels that enter are filled as in `shift`.
      max_shift: largest shift in pixels.

    Returns:
      Integers [batch, 2 * max_shift + 1, 2 * max_shift + 1]; the center is the unshifted image.
    """
    steps = range(-max_shift, max_shift + 1)
    classes = [
        [np.asarray(predict(shift(images, down, right))).argmax(-1) for right in steps]
        for down in steps
    ]
    return np.moveaxis(np.array(classes), -1, 0)


def consistency(classes: np.ndarray) -> float:
    """Probability that two different shifts of one image have the same predicted class.

    Zhang 2019, arXiv:1904.11486, sec. 4.1, estimated there from random pairs; here the mean over
    all pairs and images.

    Args:
      classes: result of `shifted_classes`.
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
    """Share of images that keep their unshifted class, for each shift, [rows, columns].

    Args:
      classes: result of `shifted_classes`.
    """
    middle = classes.shape[1] // 2
    return (classes == classes[:, middle, middle, None, None]).mean(axis=0)
