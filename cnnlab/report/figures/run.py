"""Figures of a run: curves, confusion matrix, scores of classes, learning rate search."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlab.analysis.curves import curve
from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, RED, logarithmic, new_figure
from cnnlab.tasks import per_class_accuracy
from cnnlab.tasks.words import SHARES

_COLORS = {"train": BLUE, "validation": ORANGE, "test": GREEN}


def plot_curves(rows: Sequence[dict[str, Any]], *, title: str = "") -> Figure:
    """Loss, accuracy, learning rate and gradient norm over epochs.

    For segmentation, the mean IoU is drawn dashed next to the accuracy; for multilabel, F1 is drawn
    dashed next to the accuracy of single labels.

    Args:
      rows: rows of metrics.jsonl.
      title: title of the figure.
    """
    multilabel = any("label_accuracy" in row for row in rows)
    panels = {
        "loss": "loss (nats)",
        "label_accuracy" if multilabel else "accuracy": "accuracy (%)",
        "learning_rate": "learning rate",
        "grad_norm": "gradient norm",
    }
    with new_figure(10, 6.4, title) as figure:
        axes = figure.subplots(2, 2, sharex=True)
        for axis, (name, label) in zip(axes.flat, panels.items(), strict=True):
            for split, color in _COLORS.items():
                _plot_split(axis, rows, name, split, color=color, label=split)
            axis.set_title(label)
        dashed, words = ("f1", "F1") if multilabel else ("miou", "mean IoU")
        if any(dashed in row for row in rows):
            axes[0, 1].set_title(f"accuracy (%), dashed: {words} (%)")
            for split, color in _COLORS.items():
                _plot_split(axes[0, 1], rows, dashed, split, color=color, linestyle="--", alpha=0.8)
        logarithmic(axes[0, 0])
        axes[0, 1].legend(loc="lower right")
        for axis in axes[1]:
            axis.set_xlabel("epoch")
            axis.set_ylim(bottom=0)
    return figure


def _plot_split(
    axis: Axes, rows: Sequence[dict[str, Any]], name: str, split: str, **style: Any
) -> None:
    """Plots a metric of one split over epochs, if rows have it."""
    epochs, values = curve(rows, split, name)
    if not len(epochs):
        return
    if split == "test" and len(epochs) == 1:
        style |= {"marker": "*", "markersize": 11, "linestyle": "none"}
    if split == "validation":
        style |= {"marker": "o", "markersize": 3}
    axis.plot(epochs, (100 if name in SHARES else 1) * values, **style)


def plot_confusion_matrix(
    confusion: np.ndarray, class_names: Sequence[str], *, title: str = "", percent: bool = False
) -> Figure:
    """Draws the shares of each true class (row) that are predicted as each class (column).

    Args:
      confusion: counts [classes, classes].
      class_names: names of the classes in the order of the labels.
      title: title of the figure.
      percent: whether cells show shares in percent instead of counts, which would be too long for
        pixels.
    """
    classes = len(class_names)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    recalls = per_class_accuracy(confusion)
    side = min(4.0 + 0.42 * classes, 20.0)
    with new_figure(side + 1.2, side, title) as figure:
        axis = figure.subplots()
        image = axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        axis.grid(False)
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


def plot_class_scores(scores: Mapping[str, float | None], *, title: str = "") -> Figure:
    """Draws a bar for the IoU of each class, and a line for their mean.

    Args:
      scores: IoU in [0, 1] by class name; None or NaN for classes that do not occur.
      title: title of the figure.
    """
    values = np.array(list(scores.values()), np.float64)  # None becomes NaN
    mean = np.nanmean(values) if np.isfinite(values).any() else np.nan
    with new_figure(7.0, min(1.4 + 0.28 * len(scores), 30.0), title) as figure:
        axis = figure.subplots()
        axis.grid(False, axis="y")
        axis.barh(range(len(scores)), 100 * np.nan_to_num(values), color=BLUE, height=0.72)
        for place, score in enumerate(values):  # beside the axis, where no line crosses them
            text = f"{100 * score:.1f}" if np.isfinite(score) else "none"
            axis.text(101, place, text, va="center", fontsize=8)
        axis.axvline(100 * mean, color=RED, linestyle="--", label=f"mean {100 * mean:.1f} %")
        axis.set_yticks(range(len(scores)), scores)
        axis.invert_yaxis()
        axis.set_xlim(0, 100)
        axis.set_xlabel("IoU (%)")
        figure.legend(loc="outside lower right")
    return figure


def plot_learning_rates(
    rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float
) -> Figure:
    """Draws the loss over an increasing learning rate, with the suggested rate.

    Args:
      rates: learning rate of each step.
      losses: training loss of each step, [sweeps, steps].
      smoothed: smoothed losses.
      suggestion: the suggested learning rate.
    """
    with new_figure(7, 4.2) as figure:
        axis = figure.subplots()
        for number, sweep in enumerate(losses):
            label = None if number else "each step"
            axis.plot(rates, sweep, color=GREY, alpha=0.4, linewidth=0.8, label=label)
        axis.plot(rates, smoothed, color=BLUE, label="smoothed")
        axis.axvline(suggestion, color=RED, linestyle="--", label=f"suggestion {suggestion:.2g}")
        axis.set_xscale("log")
        axis.set_xlabel("learning rate")
        axis.set_title("training loss (nats)")
        low = float(smoothed.min())
        axis.set_ylim(low - 0.1 * (smoothed[0] - low), smoothed[0] + 0.6 * (smoothed[0] - low))
        axis.legend()
    return figure
