"""Digits of the embedded data set, as pictures."""

import numpy as np
from matplotlib.axes import Axes

from cnnlab import data
from cnnlab.data.sources.digit_scenes import render


def digit(label: int, number: int = 0, image_size: int = 28) -> np.ndarray:
    """A test image of a class, in [0, 1], [height, width]."""
    source = data.load("digits", image_size=image_size).splits["test"]
    return source.images[source.labels == label][number, :, :, 0] / 255.0


def scene(number: int, size: int) -> np.ndarray:
    """A scene of digits of the test split, in [0, 1], [size, size]."""
    return render("test", number, size=size)[0][..., 0] / 255.0


def show(
    axis: Axes,
    values: np.ndarray,
    caption: str = "",
    *,
    signed: bool = False,
    limits: tuple[float, float] | None = None,
) -> None:
    """Draws pixels: gray, or red for positive and blue for negative ones.

    Args:
      axis: has room for the picture alone afterwards.
      values: [height, width].
      caption: below it.
      signed: whether values are around 0.
      limits: of the gray values; None takes those that there are.
    """
    limit = np.abs(values).max() or 1.0
    low, high = (-limit, limit) if signed else limits or (values.min(), values.max())
    axis.imshow(values, cmap="RdBu_r" if signed else "gray", vmin=low, vmax=high)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.grid(False)
    axis.set_xlabel(caption, fontsize=8)
