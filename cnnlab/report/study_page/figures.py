"""The PNG files of a study, each drawn from what its page shows; None where nothing can be."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from cnnlab.report.charts import Chart, draw_chart
from cnnlab.report.study_page.charts import history, learning_curves, slices
from cnnlab.report.study_page.data import StudyResults
from cnnlab.report.study_page.parallel_axes import Rail, goodness, parallel_rails
from cnnlab.report.study_page.timeline import make_timeline
from cnnlab.report.style import BLUE, GREY, STATE_COLORS, new_figure


def plot_history(study: StudyResults) -> Figure | None:
    """The metric of each trial, and the best so far."""
    return _one_chart(history(study), f"{study.name}: {study.metric.label}")


def plot_learning_curves(study: StudyResults) -> Figure | None:
    """The metric over the training steps of each trial."""
    return _one_chart(learning_curves(study), f"{study.metric.label} while training")


def _one_chart(chart: Chart | None, title: str) -> Figure | None:
    if chart is None:
        return None
    with new_figure(8.4, 4.4) as figure:
        axis = figure.subplots()
        draw_chart(axis, chart)
        axis.set(title=title, ylabel="")
        _add_legend(figure, ncols=5)
    return figure


def plot_slices(study: StudyResults) -> Figure | None:
    """The metric over each hyper-parameter, one at a time."""
    charts = list(slices(study).values())
    if not charts:
        return None
    columns = 3 if len(charts) in (3, 5, 6, 9) else min(len(charts), 4)
    rows = -(-len(charts) // columns)
    with new_figure(3.1 * columns + 0.5, 2.9 * rows + 0.4) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axis, chart in zip(axes.flat, charts, strict=False):
            draw_chart(axis, chart)
            axis.label_outer(remove_inner_ticks=False)
            axis.xaxis.label.set_visible(True)
            axis.tick_params(axis="x", labelbottom=True)
        for axis in axes.flat[len(charts) :]:
            axis.set_visible(False)
        _add_legend(figure, ncols=4)
    return figure


def _add_legend(figure: Figure, ncols: int) -> None:
    """Names each kind of series once, below all axes."""
    found = (zip(*axis.get_legend_handles_labels(), strict=True) for axis in figure.axes)
    named = {label: handle for handle, label in itertools.chain(*found)}
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=ncols)


def plot_importances(study: StudyResults, shares: Mapping[str, float]) -> Figure | None:
    """A bar for the share of the metric's variance that each hyper-parameter accounts for."""
    if not shares:
        return None
    names = list(shares)
    with new_figure(7.0, 1.2 + 0.36 * len(names)) as figure:
        axis = figure.subplots()
        axis.grid(False, axis="y")
        percents = [100 * share for share in shares.values()]
        colors = [GREY if name == "seed" else BLUE for name in names]
        bars = axis.barh(range(len(names)), percents, color=colors, height=0.66)
        axis.bar_label(bars, [percent_text(x) for x in shares.values()], padding=3, fontsize=9)
        axis.set_yticks(range(len(names)), [study.short_names[name] for name in names])
        axis.invert_yaxis()
        axis.set_xlim(0, max(percents) * 1.15)
        axis.set_xlabel("share of the variance (%)")
        axis.set_title(f"what {study.metric.words} depends on")
    return figure


def percent_text(share: float) -> str:
    """A share in whole percent."""
    return "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def plot_timeline(study: StudyResults) -> Figure | None:
    """When each trial ran, one lane for each that ran at the same time."""
    timeline = make_timeline(study)
    if timeline is None:
        return None
    lanes = timeline.lanes
    with new_figure(8.4, 1.1 + 0.42 * len(lanes)) as figure:
        axis = figure.subplots()
        axis.grid(False, axis="y")
        top = study.best.trials[0].number if study.best else None
        for row, bar in ((row, bar) for row, lane in enumerate(lanes) for bar in lane):
            color = STATE_COLORS["best" if bar.trial.number == top else bar.trial.state]
            axis.barh(row, bar.end - bar.start, left=bar.start, height=0.74, color=color,
                      edgecolor="white", linewidth=0.6)  # fmt: skip
            if bar.end - bar.start > 0.018 * timeline.length:
                axis.text((bar.start + bar.end) / 2, row, str(bar.trial.number), ha="center",
                          va="center", fontsize=8, color="white")  # fmt: skip
        for state in {bar.trial.state: None for lane in lanes for bar in lane}:
            axis.barh(0, 0, color=STATE_COLORS[state], label=state)
        axis.set_yticks([])
        axis.invert_yaxis()
        axis.set_xlim(0, timeline.length)
        axis.set_xlabel(f"{timeline.unit} since {timeline.start:%Y-%m-%d %H:%M}")
        axis.set_title("when each trial ran")
        figure.legend(loc="outside upper right", ncols=5, handlelength=1.0, handleheight=1.0)
    return figure


def plot_parallel(study: StudyResults) -> Figure | None:
    """A line for each config through its hyper-parameters to its metric, the best one bold."""
    rails = parallel_rails(study)
    if not rails:
        return None
    colors = colormaps["viridis"]
    with new_figure(min(max(6.4, 1.8 * len(rails)), 18.0), 4.6) as figure:
        axis = figure.subplots()
        axis.set_axis_off()
        axis.set_xlim(-0.1, len(rails) - 0.6)
        axis.set_ylim(-0.03, 1.12)
        best, *others = zip(*(rail.heights for rail in rails), strict=True)
        for heights in reversed(others):
            color = colors(0.95 * goodness(study, heights[-1]))
            _draw_line(axis, heights, edgecolor=color, linewidth=1.2, alpha=0.75)
        _draw_line(axis, best, edgecolor=STATE_COLORS["best"], linewidth=3.2, zorder=4)
        for x, rail in enumerate(rails):
            _draw_rail(axis, x, rail)
        axis.set_title("one line for each config; yellow is good, bold orange the best")
    return figure


def _draw_line(axis: Axes, heights: Sequence[float], **style: Any) -> None:
    """Goes from rail to rail in curves that leave and arrive level."""
    points, codes = [(0.0, heights[0])], [Path.MOVETO]
    for x, (here, there) in enumerate(itertools.pairwise(heights)):
        points += [(x + 0.5, here), (x + 0.5, there), (x + 1.0, there)]
        codes += [Path.CURVE4] * 3
    axis.add_patch(PathPatch(Path(points, codes), facecolor="none", **style))


def _draw_rail(axis: Axes, x: int, rail: Rail) -> None:
    axis.plot([x, x], [0, 1], color="#404040", linewidth=1.2, zorder=5)
    axis.text(x, 1.06, rail.label, ha="center", va="bottom", fontweight="bold")
    for y, text in rail.ticks:
        axis.plot([x, x + 0.02], [y, y], color="#404040", linewidth=1.2, zorder=5)
        axis.text(x + 0.035, y, text, va="center", fontsize=8.5, zorder=6).set_bbox(
            {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6}
        )
