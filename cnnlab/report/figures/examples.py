"""Figure of single examples with a network's predictions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cnnlab.report.figures.picture_grid import Picture, plot_pictures
from cnnlab.report.pixels import magnify, rgb

_COLUMNS = 8


def plot_examples(
    images: Sequence[np.ndarray],
    truths: Sequence[str],
    answers: Sequence[str],
    confidences: Sequence[float],
    *,
    title: str = "",
) -> Figure:
    """Draws images with their true class, predicted class and its probability.

    Args:
      images: uint8 [height, width, 1 or 3] each.
      truths: names of the true classes.
      answers: names of the predicted classes; captions are green if both agree.
      confidences: probabilities of the predicted classes, in [0, 1].
      title: title of the figure.
    """
    pictures = []
    for image, truth, answer, confidence in zip(images, truths, answers, confidences, strict=True):
        share = f"{100 * confidence:.1f} %"
        said = "" if truth == answer else f"{truth}, taken for\n"
        caption = f"{said}{answer} {share}"
        pictures.append(Picture(magnify(rgb(image), 96), caption, truth == answer))
    rows = [pictures[first : first + _COLUMNS] for first in range(0, len(pictures), _COLUMNS)]
    return plot_pictures(rows, title=title)
