"""Figures of a run: its curves, its confusion matrix, its learning rate search."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, RED, figure_style
from cnnlab.tasks import per_class_accuracy

_COLORS = {"train": BLUE, "validation": ORANGE, "test": GREEN}


def plot_curves(rows: Sequence[dict[str, Any]], *, title: str = "") -> Figure:
    """Loss, accuracy, learning rate and gradient norm over epochs.

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
                points = [
                    (row["epoch"], row[name] * (100 if name == "accuracy" else 1))
                    for row in rows
                    if row["split"] == split and row.get(name) is not None
                ]
                if points:
                    final = split == "test" and len(points) == 1
                    style = {"marker": "*", "markersize": 11, "linestyle": "none"} if final else {}
                    if split == "validation":
                        style = {"marker": "o", "markersize": 3}
                    axis.plot(*zip(*points, strict=True), color=color, label=split, **style)
            axis.set_title(label)
        axes[0, 0].set_yscale("log")
        axes[0, 0].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes[0, 0].yaxis.set_major_formatter("{x:g}")
        axes[0, 0].yaxis.set_minor_formatter(NullFormatter())
        axes[0, 1].legend(loc="lower right")
        for axis in axes[1]:
            axis.set_xlabel("epoch")
            axis.set_ylim(bottom=0)
    return figure


def plot_confusion_matrix(
    confusion: np.ndarray, class_names: Sequence[str], *, title: str = ""
) -> Figure:
    """Shares of each true class (row) that were taken for each class (column), with counts.

    Args:
      confusion: counts [classes, classes].
      class_names: in the order of the labels.
      title: above the matrix.
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
                axis.text(
                    column,
                    row,
                    f"{confusion[row, column]}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if shares[row, column] > 0.5 else "black",
                )
        figure.colorbar(image, ax=axis, shrink=0.7, label="share of the true class")
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
