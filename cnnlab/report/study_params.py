"""Pictures of a study over its hyper-parameters: slices and parallel coordinates."""

import itertools
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from cnnlab.report.study_data import Scale, Study, value_text
from cnnlab.report.study_figures import BEST, STAR, STATE_COLORS, scatter_metric
from cnnlab.report.study_rails import Rail, make_rail, metric_rail
from cnnlab.report.style import BLUE, figure_style


def plot_slices(study: Study) -> Figure | None:
    """The metric over each hyper-parameter; None where none varies or nothing was measured.

    Choices stand side by side, with a line at the mean of each.
    """
    names = study.varied
    if not names or all(trial.last_value is None for trial in study.trials):
        return None
    columns = 3 if len(names) in (3, 5, 6, 9) else min(len(names), 4)
    rows = -(-len(names) // columns)
    with figure_style():
        figure = Figure(figsize=(3.1 * columns + 0.5, 2.9 * rows + 0.4), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        axes[0, 0].set_ylim(study.metric_range())
        legend: dict[str, Any] = {}
        for axis, name in zip(axes.flat, names, strict=False):
            _plot_slice(axis, study, name)
            handles, labels = axis.get_legend_handles_labels()
            legend |= dict(zip(labels, handles, strict=True))
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
        for row in axes:
            row[0].set_ylabel(study.metric.label)
        figure.legend(legend.values(), legend, loc="outside lower center", ncols=4)
    return figure


def _plot_slice(axis: Axes, study: Study, name: str) -> None:
    scale = study.scales[name]
    for state in ("pruned", "complete"):
        trials = [t for t in study.with_state(state) if name in t.params]
        trials = [t for t in trials if t.last_value is not None]
        x = [place(scale, t.params[name], t.number) for t in trials]
        style = {"color": STATE_COLORS[state], "s": 16, "facecolor": "white"}
        if state == "complete":
            style |= {"s": 28, "facecolor": STATE_COLORS[state], "edgecolor": "white"}
        scatter_metric(axis, study, x, trials, label=state, **style)
    best = study.best.trials[0] if study.best else None
    if best and name in best.params:
        x = place(scale, best.params[name], best.number)
        axis.scatter([x], [study.metric.shown(best.value)], label="best", **STAR)
    axis.set_xlabel(study.short_names[name])
    if scale.kind == "log":
        axis.set_xscale("log")
    elif scale.kind == "linear":
        axis.xaxis.set_major_locator(MaxNLocator(5))
    else:
        texts = [value_text(choice) for choice in scale.choices]
        axis.set_xlim(-0.6, len(texts) - 0.4)
        axis.set_xticks(range(len(texts)), texts)
        if sum(map(len, texts)) > 24:
            axis.tick_params(axis="x", rotation=25)
        axis.grid(False, axis="x")
        for index, mean in choice_means(study, name):
            axis.plot([index - 0.34, index + 0.34], [mean] * 2, color=BLUE, linewidth=2.0)


def place(scale: Scale, value: Any, number: int) -> float:
    """Where a trial lies over a hyper-parameter; those of a choice are spread out a little.

    By the golden ratio, so that a trial lies in the same place in every picture.
    """
    if scale.kind != "choice":
        return float(value)
    return scale.position(value) + 0.5 * (number * 0.618034 % 1.0 - 0.5)


def choice_means(study: Study, name: str) -> list[tuple[int, float]]:
    """Index of each choice that any complete trial took, and the mean of their values, as shown."""
    means = []
    for index, choice in enumerate(study.scales[name].choices):
        trials = [t for t in study.with_state("complete") if name in t.params]
        values = [t.value for t in trials if t.params[name] == choice]
        if values:
            means.append((index, study.metric.shown(float(np.mean(values)))))
    return means


def plot_parallel(study: Study) -> Figure | None:
    """A line for each config through its hyper-parameters to its metric, the best one bold.

    None where fewer than two configs are complete, or no hyper-parameter varies.
    """
    names = study.varied
    if not names or len(study.candidates) < 2:
        return None
    drawn = [*(make_rail(study, name) for name in names), metric_rail(study)]
    rails = [rail for rail, _ in drawn]
    heights = np.array([[rail.height(x) for x in places] for rail, places in drawn]).T
    colors = colormaps["viridis"]
    with figure_style():
        figure = Figure(figsize=(min(max(6.4, 1.8 * len(rails)), 18.0), 4.6), layout="constrained")
        axis = figure.subplots()
        axis.set_axis_off()
        axis.set_xlim(-0.1, len(rails) - 0.6)
        axis.set_ylim(-0.03, 1.12)
        for rank in reversed(range(len(heights))):
            good = heights[rank, -1] if study.metric.sign > 0 else 1.0 - heights[rank, -1]
            style = {"edgecolor": colors(0.95 * good), "linewidth": 1.2, "alpha": 0.75}
            if rank == 0:
                style = {"edgecolor": BEST, "linewidth": 3.2, "zorder": 4}
            axis.add_patch(PathPatch(_smooth(heights[rank]), facecolor="none", **style))
        for x, rail in enumerate(rails):
            _draw_rail(axis, x, rail)
        axis.set_title("one line for each config; yellow is good, bold orange the best")
    return figure


def _smooth(heights: np.ndarray) -> Path:
    """Goes from rail to rail in curves that leave and arrive level."""
    points, codes = [(0.0, heights[0])], [Path.MOVETO]
    for x, (here, there) in enumerate(itertools.pairwise(heights)):
        points += [(x + 0.5, here), (x + 0.5, there), (x + 1.0, there)]
        codes += [Path.CURVE4] * 3
    return Path(points, codes)


def _draw_rail(axis: Axes, x: int, rail: Rail) -> None:
    axis.plot([x, x], [0, 1], color="#404040", linewidth=1.2, zorder=5)
    axis.text(x, 1.06, rail.label, ha="center", va="bottom", fontweight="bold")
    for position, text in rail.ticks:
        y = rail.height(position)
        axis.plot([x, x + 0.02], [y, y], color="#404040", linewidth=1.2, zorder=5)
        axis.text(x + 0.035, y, text, va="center", fontsize=8.5, zorder=6).set_bbox(
            {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6}
        )
