"""Rows and columns of pictures with words: the form of most figures that look into a network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from cnnlab.report.style import GREEN, RED, figure_style

_INCHES = 1.25  # of a picture's width


class Picture(NamedTuple):
    """One picture.

    Attributes:
      pixels: uint8 [height, width, 3].
      caption: below it; may be empty.
      right: a green caption where true, a red one where false.
    """

    pixels: np.ndarray
    caption: str = ""
    right: bool | None = None


def plot_pictures(
    rows: Sequence[Sequence[Picture]],
    *,
    title: str = "",
    row_labels: Sequence[str] | None = None,
    column_titles: Sequence[str] | None = None,
) -> Figure:
    """Draws rows of pictures; rows may be of different lengths.

    Args:
      rows: from top to bottom.
      title: above all.
      row_labels: left of each row.
      column_titles: above the first row.
    """
    columns = max(map(len, rows))
    aspect = max(p.pixels.shape[0] / p.pixels.shape[1] for row in rows for p in row)
    lines = [max((p.caption.count("\n") + 1 if p.caption else 0) for p in row) for row in rows]
    heights = [_INCHES * aspect + 0.17 * count + 0.05 for count in lines]
    labelled = 1.0 if row_labels else 0.0
    with figure_style():
        figure = Figure(
            figsize=(
                _INCHES * max(columns, 3) + labelled,
                sum(heights) + 0.35 * bool(title) + 0.25 * bool(column_titles),
            ),
            layout="constrained",
        )
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        axes = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
        for axis in axes.flat:
            axis.grid(False)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for line, row in zip(axes, rows, strict=True):
            for axis, picture in zip(line, row, strict=False):
                axis.imshow(picture.pixels, interpolation="nearest")
                color = {True: GREEN, False: RED, None: "black"}[picture.right]
                axis.set_xlabel(picture.caption, fontsize=8, color=color)
        for line, label in zip(axes, row_labels or (), strict=False):
            line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for axis, text in zip(axes[0], column_titles or (), strict=False):
            axis.set_title(text, fontsize=9, loc="center")
    return figure
