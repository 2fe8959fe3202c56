"""Grids of pictures with captions, which most figures of networks use."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from cnnlab.report.style import GREEN, RED, add_title, figure_style, hide_frame

_INCHES = 1.25  # of a picture's width
_GAP = 0.06
_LETTERS = 20  # of a caption, side by side below a picture


class Picture(NamedTuple):
    """A picture with a caption.

    Attributes:
      pixels: uint8 [height, width, 3].
      caption: text below it; may be empty.
      right: True for a green caption, False for a red one.
    """

    pixels: np.ndarray
    caption: str = ""
    right: bool | None = None


def plot_pictures(
    rows: Sequence[Sequence[Picture]],
    *,
    title: str = "",
    row_labels: Sequence[str] | None = None,
    scale: ScalarMappable | None = None,
    scale_label: str = "",
) -> Figure:
    """Draws rows of equally large pictures; rows may have different lengths.

    Args:
      rows: rows of pictures from top to bottom.
      title: title of the figure.
      row_labels: text left of each row.
      scale: color scale of the pictures, drawn at the right.
      scale_label: meaning of its values, with their unit.
    """
    captions = [[_wrapped(picture.caption) for picture in row] for row in rows]
    aspect = max(p.pixels.shape[0] / p.pixels.shape[1] for row in rows for p in row)
    height = _INCHES * aspect
    below = [0.04 + 0.14 * max(c.count("\n") + 1 if c else 0 for c in row) for row in captions]
    label = max((len(line) for text in row_labels or () for line in text.split("\n")), default=-1)
    left = 0.1 + 0.08 * (label + 1)
    width = left + max(map(len, rows)) * (_INCHES + _GAP) + (0.9 if scale else 0.1)
    with figure_style():
        figure = Figure(figsize=(max(width, 4.0), 1.0))
        add_title(figure, title)
        lines = figure.get_suptitle().count("\n") + 1 if title else 0
        top = 0.1 + 0.21 * lines
        total = top + sum(below) + len(rows) * (height + _GAP)
        figure.set_figheight(total)
        if title:
            figure.suptitle(figure.get_suptitle(), x=0.1 / figure.get_figwidth(),
                            y=1 - 0.06 / total, va="top", ha="left", fontweight="bold",
                            fontsize=12)  # fmt: skip

        def place(x: float, y: float, w: float, h: float) -> list[float]:
            """Shares of the figure, of inches from its upper left corner."""
            wide = figure.get_figwidth()
            return [x / wide, 1 - (y + h) / total, w / wide, h / total]

        y = top
        for number, (row, texts) in enumerate(zip(rows, captions, strict=True)):
            for column, (picture, caption) in enumerate(zip(row, texts, strict=True)):
                x = left + column * (_INCHES + _GAP)
                axis = figure.add_axes(place(x, y, _INCHES, height))
                hide_frame(axis)
                axis.imshow(picture.pixels, interpolation="nearest")
                color = {True: GREEN, False: RED, None: "black"}[picture.right]
                axis.set_xlabel(caption, fontsize=8, color=color)
                if row_labels and column == 0:
                    axis.set_ylabel(row_labels[number], rotation=0, ha="right", va="center",
                                    fontsize=9)  # fmt: skip
            y += height + below[number] + _GAP
        if scale:
            bar = figure.add_axes(place(width - 0.8, top, 0.12, max(total - top - below[-1], 1.0)))
            figure.colorbar(scale, cax=bar)
            bar.tick_params(labelsize=7)
            bar.set_ylabel(scale_label, fontsize=8)
    return figure


def _wrapped(caption: str) -> str:
    return "\n".join(part for line in caption.split("\n") for part in textwrap.wrap(line, _LETTERS))
