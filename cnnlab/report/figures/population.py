"""Figure of population-based training: metric and hyper-parameters of its members."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlab.report.style import GREY, ORANGE, new_figure
from cnnlab.tasks.words import SHARES, metric_words

_OTHERS = {"color": GREY, "linewidth": 0.9, "alpha": 0.5}
_BEST = {"color": ORANGE, "linewidth": 2.4, "zorder": 4}


def plot_population(
    metric: str,
    curves: Sequence[Mapping[int, float]],
    lineages: Sequence[Sequence[Mapping[str, Any]]],
    schedule: Sequence[Mapping[str, Any]],
    *,
    end: int,
    logarithmic: frozenset[str] = frozenset(),
) -> Figure:
    """Draws a panel for the metric over steps, and one for each hyper-parameter that changes.

    Args:
      metric: name of the metric.
      curves: the metric by step, for each member.
      lineages: rows of each member from `cnnlab.sweep.pbt.lineage`.
      schedule: the best network's ancestors, as `cnnlab.sweep.pbt.lineage.ancestry` returns them.
      end: step at which the best network was saved.
      logarithmic: paths of hyper-parameters that are drawn on a logarithmic axis.
    """
    paths = list(schedule[0]["numbers"])
    last = max((step for curve in curves for step in curve), default=end)
    with new_figure(8.4, 2.6 + 2.0 * len(paths)) as figure:
        top, *others = figure.subplots(1 + len(paths), 1, sharex=True)
        factor = 100 if metric in SHARES else 1
        for curve in curves:
            top.plot(list(curve), [factor * value for value in curve.values()], **_OTHERS)
        steps, values = _of_ancestors(curves, schedule, end)
        top.plot(steps, [factor * value for value in values], **_BEST)
        top.plot([], [], **_OTHERS, label="members")
        top.plot([], [], **_BEST, label="the best network and whose weights it had before")
        top.set_title(f"validation {metric_words(metric)}" + " (%)" * (metric in SHARES))
        for axis, path in zip(others, paths, strict=True):
            for rows in lineages:
                _draw_steps(axis, path, rows, last, _OTHERS)
            _draw_steps(axis, path, schedule, end, _BEST)
            axis.set_title(path)
            if path in logarithmic:
                axis.set_yscale("log")
        others[-1].set_xlabel("step")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _of_ancestors(
    curves: Sequence[Mapping[int, float]], schedule: Sequence[Mapping[str, Any]], end: int
) -> tuple[list[int], list[float]]:
    """The metric of the best network's ancestors over the steps."""
    steps, values = [], []
    for row, stop in zip(schedule, [*(row["step"] for row in schedule[1:]), end], strict=True):
        for step, value in curves[row["member"]].items():
            if row["step"] < step <= stop:
                steps.append(step)
                values.append(value)
    return steps, values


def _draw_steps(
    axis: Axes, path: str, rows: Sequence[Mapping[str, Any]], end: int, style: Mapping[str, Any]
) -> None:
    steps = [row["step"] for row in rows]
    values = [row["numbers"][path] for row in rows]
    axis.step([*steps, end], [*values, values[-1]], where="post", **style)
