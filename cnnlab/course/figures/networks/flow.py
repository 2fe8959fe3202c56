"""Diagrams of layers: boxes with text, and arrows between them."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

# Fills that keep black text readable: convolutions, dense layers, poolings, norms, sums, data.
CONV, DENSE, POOL, NORM, SUM, DATA = (
    "#bfe0f4",
    "#f9dfae",
    "#c8eadd",
    "#ead7ec",
    "#f7c9ad",
    "#ececec",
)
_EDGE = "#555555"


class Box(NamedTuple):
    """A box of a diagram.

    Attributes:
      x: of its centre.
      y: of its centre.
      width: in the axis's units.
      height: in the axis's units.
    """

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> tuple[float, float]:
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> tuple[float, float]:
        return self.x, self.y - self.height / 2

    @property
    def left(self) -> tuple[float, float]:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y


def prepare(axis: Axes, xlim: tuple[float, float], ylim: tuple[float, float]) -> None:
    """Clears an axis for a diagram with the given limits."""
    axis.set(xlim=xlim, ylim=ylim)
    axis.set_axis_off()


def draw_box(
    axis: Axes,
    x: float,
    y: float,
    text: str,
    color: str = CONV,
    *,
    width: float = 1.8,
    height: float = 0.6,
    fontsize: float = 8.5,
) -> Box:
    """Draws a rounded box around a text and returns its place."""
    axis.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=color, edgecolor=_EDGE, linewidth=0.8,
        )
    )  # fmt: skip
    axis.text(x, y, text, ha="center", va="center", fontsize=fontsize)
    return Box(x, y, width, height)


def draw_arrow(
    axis: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    color: str = _EDGE,
    bend: float = 0.0,
    dashed: bool = False,
) -> None:
    """Draws an arrow; `bend` curves it, positive to the right of its direction."""
    axis.add_patch(
        FancyArrowPatch(
            start, end,
            arrowstyle="-|>", mutation_scale=9, shrinkA=0, shrinkB=0, color=color, linewidth=1.1,
            linestyle="--" if dashed else "-", connectionstyle=f"arc3,rad={bend}",
        )
    )  # fmt: skip


def draw_path(axis: Axes, points: Sequence[tuple[float, float]], *, color: str = _EDGE) -> None:
    """Draws straight lines through points, with an arrow head at the last."""
    xs, ys = zip(*points[:-1], strict=True)
    axis.plot(xs, ys, color=color, linewidth=1.1, solid_capstyle="butt")
    draw_arrow(axis, points[-2], points[-1], color=color)


def draw_stack(
    axis: Axes,
    x: float,
    layers: Sequence[tuple[str, str]],
    *,
    bottom: float = 0.0,
    step: float = 0.85,
    width: float = 2.6,
) -> list[Box]:
    """Draws layers from the bottom up, an arrow from each to the next.

    Args:
      axis: with limits that hold the stack, see `prepare`.
      x: of the centre.
      layers: the text and the fill of each.
      bottom: y of the centre of the first.
      step: distance of the centres.
      width: of the boxes.

    Returns:
      The boxes, the first one first.
    """
    boxes = [
        draw_box(axis, x, bottom + step * n, text, color, width=width, height=0.64 * step)
        for n, (text, color) in enumerate(layers)
    ]
    for below, above in itertools.pairwise(boxes):
        draw_arrow(axis, below.top, above.bottom)
    return boxes
