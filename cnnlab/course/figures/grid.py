"""Arrays of numbers as tables with coloured cells, the form of worked examples."""

from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.report.style import figure_style

Cell = tuple[int, int]

_PAPER = "#f4f4f4"
INCHES = 0.36  # of a cell's side


def draw_grid(
    axis: Axes,
    values: np.ndarray,
    *,
    colors: Mapping[Cell, str] | None = None,
    pale: Collection[Cell] = (),
    title: str = "",
) -> None:
    """Draws a table of numbers.

    Args:
      axis: has room for the table alone afterwards.
      values: [rows, columns].
      colors: of the background of some cells.
      pale: cells whose numbers are faint, as padding.
      title: below the table.
    """
    rows, columns = values.shape
    for i, j in np.ndindex(values.shape):
        color = (colors or {}).get((i, j), _PAPER)
        axis.add_patch(Rectangle((j, i), 1, 1, facecolor=color, edgecolor="white", linewidth=1.5))
        axis.text(
            j + 0.5,
            i + 0.52,
            f"{values[i, j]:g}",
            ha="center",
            va="center",
            fontsize=9,
            color="#b0b0b0" if (i, j) in pale else "black",
        )
    axis.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal", xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.grid(False)
    axis.set_xlabel(title, fontsize=9)


def draw_sign(axis: Axes, text: str) -> None:
    """A sign between two tables, as `=` or `+`."""
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=15, transform=axis.transAxes)


def window(row: int, column: int, height: int, width: int) -> list[Cell]:
    """The cells of a window whose first cell is given."""
    return [(row + i, column + j) for i in range(height) for j in range(width)]


def equation(*terms: tuple[np.ndarray, dict] | str, title: str = "", scale: float = 1.0) -> Figure:
    """Tables and signs in a row.

    Args:
      *terms: a table with options of `draw_grid`, or a sign.
      title: above all.
      scale: of the cells.
    """
    widths = [0.9 if isinstance(term, str) else term[0].shape[1] for term in terms]
    tallest = max(term[0].shape[0] for term in terms if not isinstance(term, str))
    with figure_style():
        figure = Figure(
            figsize=(
                INCHES * scale * (sum(widths) + 0.6 * len(terms)),
                INCHES * scale * tallest + 0.55 + 0.3 * bool(title),
            ),
            layout="constrained",
        )
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        axes = figure.subplots(1, len(terms), width_ratios=widths, squeeze=False)[0]
        for axis, term in zip(axes, terms, strict=True):
            if isinstance(term, str):
                draw_sign(axis, term)
            else:
                draw_grid(axis, term[0], **term[1])
    return figure
