"""Charts of lines and points: described once, drawn by the pages' script and by matplotlib.

`templates/charts.js` draws the JSON of a `Chart` in a page, `draw_chart` draws it on an axis of a
PNG file.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cnnlab.report.style import STATE_COLORS

Point = tuple[float, float] | tuple[float, float, float, float]
_MARKERS = {"dot": "o", "cross": "x", "down": "v", "up": "^", "star": "*"}
_EDGES = {"low": 0.03, "high": 0.97}


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Attributes:
      label: quantity and unit.
      range: lower and upper end; the lower one is above 0 on a logarithmic axis.
      kind: `linear` or `log`.
      ticks: positions and texts; empty for round numbers.
      whole: whether ticks are whole numbers only.
    """

    label: str
    range: tuple[float, float]
    kind: Literal["linear", "log"] = "linear"
    ticks: tuple[tuple[float, str], ...] = ()
    whole: bool = False


@dataclasses.dataclass(frozen=True)
class Series:
    """Points with the same style, or a line through them.

    Attributes:
      points: (x, y), or (x, y, low, high) for points with the ends of an interval.
      color: a name of `STATE_COLORS`.
      name: for the legend, which has each name once; empty for none.
      mark: `dot`, `cross`, `down`, `up` or `star`; empty for a line.
      open: whether marks are outlines.
      size: radius of the marks.
      edge: `low` or `high` draws marks at that edge of the chart, whatever their y.
      width: width of the line.
      opacity: opacity of points and line, 0 to 1.
      trials: numbers of the points' trials; empty for points without a tooltip.
    """

    points: Sequence[Point]
    color: str
    name: str = ""
    mark: str = ""
    open: bool = False
    size: float = 4.0
    edge: str = ""
    width: float = 1.7
    opacity: float = 1.0
    trials: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
      title: short title.
      x: horizontal axis.
      y: vertical axis.
      series: series from back to front.
      height: height in CSS pixels.
    """

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    height: int = 340

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values, without fields that have their defaults."""
        tree = dataclasses.asdict(self)
        defaults = {field.name: field.default for field in dataclasses.fields(Series)}
        tree["series"] = [
            {name: value for name, value in series.items() if value != defaults[name]}
            for series in tree["series"]
        ]
        return tree


def widened(low: float, high: float, kind: str = "linear") -> tuple[float, float]:
    """Returns the ends of an axis with a margin around the points."""
    if kind == "log":
        low, high = (math.exp(x) for x in widened(math.log(low), math.log(high)))
        return low, high
    room = 0.04 * (high - low) or 0.1 * abs(high) or 0.5
    return low - room, high + room


def draw_chart(axis: Axes, chart: Chart) -> None:
    """Draws a chart on an axis, with the names of its series for a legend."""
    for series in chart.series:
        color, style = STATE_COLORS[series.color], {"alpha": series.opacity}
        xs, ys = [point[0] for point in series.points], [point[1] for point in series.points]
        if not series.mark:
            axis.plot(xs, ys, color=color, linewidth=series.width, label=series.name, **style)
            continue
        where = axis.get_xaxis_transform() if series.edge else axis.transData
        heights = [_EDGES[series.edge]] * len(xs) if series.edge else ys
        face = "white" if series.open else color
        style |= {} if series.mark == "cross" else {"facecolor": face, "edgecolor": color}
        style |= {"edgecolor": "black", "linewidth": 0.7} if series.mark == "star" else {}
        axis.scatter(
            xs, heights, marker=_MARKERS[series.mark], transform=where, label=series.name,
            s=series.size**2 * (7 if series.mark == "star" else 2),
            color=color if series.mark == "cross" else None,
            zorder=3 + (series.mark == "star"), **style,
        )  # fmt: skip
        for x, _, *ends in series.points:
            if ends:
                axis.plot([x, x], ends, color=color, linewidth=1.0, alpha=0.6)
    axis.set(xlabel=chart.x.label, xlim=chart.x.range, xscale=chart.x.kind)
    axis.set(ylabel=chart.y.label, ylim=chart.y.range, yscale=chart.y.kind)
    if chart.x.ticks:
        places, texts = zip(*chart.x.ticks, strict=True)
        axis.set_xticks(places, texts)
        axis.grid(False, axis="x")
        if sum(map(len, texts)) > 24:
            axis.tick_params(axis="x", rotation=25)
    elif chart.x.kind == "linear":
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=chart.x.whole))
