"""Figures of a run: curves, confusion matrix, scores of classes, learning rate search."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, RED, figure_style
from cnnlab.tasks import per_class_accuracy

_COLORS = {"train": BLUE, "validation": ORANGE, "test": GREEN}


def plot_curves(rows: Sequence[dict[str, Any]], *, title: str = "") -> Figure:
    """Loss, accuracy, learning rate and gradient norm over epochs.

    Where rows have a mean IoU, those of segmentation, it stands dashed beside the accuracy.

    Args:
      rows: of metrics.jsonl, see `cnnlab.train.records`.
      title: above the panels.
    """
    panels = {
        "loss": "loss (nats)",
        "accuracy": "accuracy (%)",
        "learning_rate": "learning rate",
        "grad_norm": "gradient norm",
    }
    with figure_style():
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        for axis, (name, label) in zip(axes.flat, panels.items(), strict=True):
            for split, color in _COLORS.items():
                _plot_split(axis, rows, name, split, color=color, label=split)
            axis.set_title(label)
        if any("miou" in row for row in rows):
            axes[0, 1].set_title("accuracy (%), dashed: mean IoU (%)")
            for split, color in _COLORS.items():
                _plot_split(axes[0, 1], rows, "miou", split, color=color, linestyle="--", alpha=0.8)
        axes[0, 0].set_yscale("log")
        axes[0, 0].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes[0, 0].yaxis.set_major_formatter("{x:g}")
        axes[0, 0].yaxis.set_minor_formatter(NullFormatter())
        axes[0, 1].legend(loc="lower right")
        for axis in axes[1]:
            axis.set_xlabel("epoch")
            axis.set_ylim(bottom=0)
    return figure


def _plot_split(
    axis: Axes, rows: Sequence[dict[str, Any]], name: str, split: str, **style: Any
) -> None:
    """Plots a number of one split over epochs, if rows have it."""
    points = [
        (row["epoch"], row[name] * (100 if name in ("accuracy", "miou") else 1))
        for row in rows
        if row["split"] == split and row.get(name) is not None
    ]
    if not points:
        return
    if split == "test" and len(points) == 1:
        style |= {"marker": "*", "markersize": 11, "linestyle": "none"}
    if split == "validation":
        style |= {"marker": "o", "markersize": 3}
    axis.plot(*zip(*points, strict=True), **style)


def plot_confusion_matrix(
    confusion: np.ndarray, class_names: Sequence[str], *, title: str = "", percent: bool = False
) -> Figure:
    """Shares of each true class (row) that were taken for each class (column).

    Args:
      confusion: counts [classes, classes].
      class_names: in the order of the labels.
      title: above the matrix.
      percent: write the shares into the cells, in percent, and not the counts: those of pixels
        would not fit.
    """
    classes = len(class_names)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    recalls = per_class_accuracy(confusion)
    side = min(4.0 + 0.42 * classes, 20.0)
    with figure_style():
        figure = Figure(figsize=(side + 1.2, side), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        axis.grid(False)
        axis.set_title(title)
        axis.set_xlabel("predicted")
        axis.set_ylabel("true")
        if classes <= 40:
            axis.set_xticks(range(classes), class_names, rotation=45, ha="right")
            axis.set_yticks(
                range(classes),
                [f"{n}  {100 * r:.0f} %" for n, r in zip(class_names, recalls, strict=True)],
            )
        if classes <= 20:
            for row, column in np.argwhere(confusion > 0):
                share = 100 * shares[row, column]
                axis.text(
                    column,
                    row,
                    f"{share:.1f}" if percent else f"{confusion[row, column]}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if shares[row, column] > 0.5 else "black",
                )
        figure.colorbar(image, ax=axis, shrink=0.7, label="share of the true class")
    return figure


def plot_class_scores(rows: Mapping[str, Mapping[str, float | None]], *, title: str = "") -> Figure:
    """A bar for the IoU of each class, and a line for their mean.

    Args:
      rows: by class name, `iou` in [0, 1] or None (NaN) for a class that does not occur; see
        `cnnlab.train.evaluate_run`.
      title: above the bars.
    """
    scores = np.array([row["iou"] for row in rows.values()], np.float64)  # None becomes NaN
    mean = np.nanmean(scores) if np.isfinite(scores).any() else np.nan
    with figure_style():
        figure = Figure(figsize=(7.0, min(1.4 + 0.28 * len(rows), 30.0)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False, axis="y")
        bars = axis.barh(range(len(rows)), 100 * np.nan_to_num(scores), color=BLUE, height=0.72)
        texts = [f"{100 * score:.1f}" if np.isfinite(score) else "none" for score in scores]
        labels = axis.bar_label(bars, texts, padding=3, fontsize=8)
        for label in labels:  # readable where the line crosses it
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
        axis.axvline(100 * mean, color=RED, linestyle="--", label=f"mean {100 * mean:.1f} %")
        axis.set_yticks(range(len(rows)), rows)
        axis.invert_yaxis()
        axis.set_xlim(0, 106)
        axis.set_xlabel("IoU (%)")
        axis.set_title(title)
        figure.legend(loc="outside lower right")
    return figure


def plot_learning_rates(
    rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float
) -> Figure:
    """Loss over a rising learning rate, with the rate that the search suggests.

    Args:
      rates: learning rate of each step.
      losses: training loss of each step.
      smoothed: the same, smoothed.
      suggestion: a learning rate.
    """
    with figure_style():
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axis = figure.subplots()
        axis.plot(rates, losses, color=GREY, alpha=0.4, linewidth=0.8, label="each step")
        axis.plot(rates, smoothed, color=BLUE, label="smoothed")
        axis.axvline(suggestion, color=RED, linestyle="--", label=f"suggestion {suggestion:.2g}")
        axis.set_xscale("log")
        axis.set_xlabel("learning rate")
        axis.set_title("training loss (nats)")
        low = float(smoothed.min())
        axis.set_ylim(low - 0.1 * (smoothed[0] - low), smoothed[0] + 0.6 * (smoothed[0] - low))
        axis.legend()
    return figure
