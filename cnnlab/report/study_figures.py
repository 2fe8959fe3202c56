"""Pictures of a study over its trials: history, learning curves, importance, timeline."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnlab.report.study_data import Study, Trial
from cnnlab.report.study_lanes import make_timeline
from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, RED, figure_style

STATE_COLORS = {
    "complete": BLUE,
    "pruned": GREY,
    "failed": RED,
    "running": GREEN,
    "waiting": "#c8c8c8",
}
BEST = ORANGE
STAR = {"marker": "*", "s": 190, "color": BEST, "edgecolor": "black", "linewidth": 0.7, "zorder": 6}


def plot_history(study: Study) -> Figure | None:
    """The metric of each trial, the best so far, and what became of the others.

    Pruned and running trials are drawn at their last value, failed ones at the edge; so are those
    that lie beyond `Study.worst_shown`, as triangles. Bars are 95 % confidence intervals of trials
    that were repeated over seeds. None before any trial was measured or failed.
    """
    if study.metric_range() is None and not study.with_state("failed"):
        return None
    with figure_style():
        figure = Figure(figsize=(8.4, 4.4), layout="constrained")
        axis = figure.subplots()
        axis.set_ylim(study.metric_range() or (0, 1))
        for state in ("pruned", "running", "complete"):
            trials = [t for t in study.with_state(state) if t.last_value is not None]
            style = {"color": STATE_COLORS[state], "s": 34 if state == "complete" else 22}
            if state != "complete":
                style |= {"facecolor": "white"}
            scatter_metric(axis, study, [t.number for t in trials], trials, label=state, **style)
        for trial in study.with_state("complete"):
            spread = trial.spread
            if spread.n > 1:
                ends = [study.metric.shown(spread.low), study.metric.shown(spread.high)]
                axis.plot([trial.number] * 2, ends, color=BLUE, linewidth=1.0, alpha=0.6)
        failed = [trial.number for trial in study.with_state("failed")]
        if failed:
            edge = axis.get_xaxis_transform()
            axis.scatter(failed, [0.02] * len(failed), marker="x", s=34, color=RED,
                         transform=edge, label="failed", clip_on=False)  # fmt: skip
        best = study.running_best()
        if best:
            numbers, values = zip(*best, strict=True)
            last = max(study.trials[-1].number, numbers[-1])
            heights = [study.metric.shown(value) for value in (*values, values[-1])]
            axis.step([*numbers, last], heights, where="post", color=BEST, zorder=1.5,
                      label="best so far")  # fmt: skip
            top = study.best.trials[0]
            axis.scatter([top.number], [study.metric.shown(top.value)], **STAR)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("trial")
        axis.set_title(f"{study.name}: {study.metric.label}")
        if axis.get_legend_handles_labels()[0]:  # none where no trial has ended
            figure.legend(loc="outside lower center", ncols=5)
    return figure


def plot_importances(study: Study, shares: Mapping[str, float]) -> Figure | None:
    """A bar for the share of the metric's variance that each hyper-parameter accounts for.

    None where there are no shares.
    """
    if not shares:
        return None
    names = list(shares)
    with figure_style():
        figure = Figure(figsize=(7.0, 1.2 + 0.36 * len(names)), layout="constrained")
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
        axis.set_title(f"what {study.metric.name.replace('_', ' ')} depends on")
    return figure


def percent_text(share: float) -> str:
    """A share in whole percent."""
    return "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def plot_learning_curves(study: Study) -> Figure | None:
    """The metric over the training steps of each trial; None where none was reported."""
    trials = [trial for trial in study.trials if trial.curve]
    if not trials:
        return None
    top = study.best.trials[0].number if study.best else None
    with figure_style():
        figure = Figure(figsize=(8.4, 4.4), layout="constrained")
        axis = figure.subplots()
        for state in ("pruned", "failed", "running", "complete"):
            chosen = [t for t in trials if t.state == state and t.number != top]
            if not chosen:
                continue
            color = STATE_COLORS[state]
            lines = [_points(study, trial) for trial in chosen]
            axis.add_collection(
                LineCollection(lines, colors=color, linewidths=0.9, alpha=0.55, label=state)
            )
            ends = np.array([line[-1] for line in lines])
            axis.scatter(*ends.T, s=12, color=color, zorder=3)
        for trial in trials:
            if trial.number == top:
                axis.plot(*_points(study, trial).T, color=BEST, linewidth=2.4, zorder=4,
                          label=f"best, trial {top}")  # fmt: skip
        axis.set_ylim(study.metric_range([x for trial in trials for x in trial.curve.values()]))
        axis.set_xlim(left=0)
        axis.set_xlabel("step")
        axis.set_title(f"{study.metric.label} while training")
        if axis.get_legend_handles_labels()[0]:  # none where no trial has ended
            figure.legend(loc="outside lower center", ncols=5)
    return figure


def _points(study: Study, trial: Trial) -> np.ndarray:
    return np.array([(step, study.metric.shown(value)) for step, value in trial.curve.items()])


def plot_timeline(study: Study) -> Figure | None:
    """When each trial ran, one lane for each that ran at the same time; None before the first."""
    timeline = make_timeline(study)
    if timeline is None:
        return None
    lanes = timeline.lanes
    with figure_style():
        figure = Figure(figsize=(8.4, 1.1 + 0.42 * len(lanes)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False, axis="y")
        top = study.best.trials[0].number if study.best else None
        for row, lane in enumerate(lanes):
            for bar in lane:
                color = BEST if bar.trial.number == top else STATE_COLORS[bar.trial.state]
                axis.barh(row, bar.end - bar.start, left=bar.start, height=0.74, color=color,
                          edgecolor="white", linewidth=0.6)  # fmt: skip
                if bar.end - bar.start > 0.018 * timeline.length:
                    axis.text((bar.start + bar.end) / 2, row, str(bar.trial.number), ha="center",
                              va="center", fontsize=8, color="white")  # fmt: skip
        drawn = {bar.trial.state for lane in lanes for bar in lane}
        for state in (state for state in STATE_COLORS if state in drawn):
            axis.barh(0, 0, color=STATE_COLORS[state], label=state)
        axis.set_yticks([])
        axis.invert_yaxis()
        axis.set_xlim(0, timeline.length)
        axis.set_xlabel(f"{timeline.unit} since {timeline.start:%Y-%m-%d %H:%M}")
        axis.set_title("when each trial ran")
        figure.legend(loc="outside upper right", ncols=5, handlelength=1.0, handleheight=1.0)
    return figure


def scatter_metric(axis: Axes, study: Study, x: list, trials: list[Trial], **style) -> None:
    """Dots at the trials' last values; outliers as triangles at the edge of the picture."""
    if not trials:
        return
    outside = np.array([study.clamped(t.last_value) != t.last_value for t in trials])
    x, shown = np.asarray(x), np.array([study.metric.shown(t.last_value) for t in trials])
    if not outside.all():
        axis.scatter(x[~outside], shown[~outside], **style)
    if outside.any():
        low, high = axis.get_ylim()
        good = study.metric.sign > 0
        height = low + (0.025 if good else 0.975) * (high - low)
        style |= {"marker": "v" if good else "^", "label": f"{style['label']}, worse than shown"}
        axis.scatter(x[outside], [height] * outside.sum(), **style)
