"""Figure of a map of examples."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from cnnlab.report.palette import make_palette
from cnnlab.report.style import new_figure


def plot_embedding(
    positions: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    wrong: np.ndarray | None = None,
    axis_labels: tuple[str, str] = ("", ""),
    title: str = "",
) -> Figure:
    """Draws a dot for each example in its class's color, with the class's name among its dots.

    Misclassified examples have a black ring.

    Args:
      positions: [examples, 2].
      labels: integers [examples].
      class_names: names of the classes in the order of the labels.
      wrong: whether each example is misclassified, bool [examples]; None marks none.
      axis_labels: labels of the axes; empty ones hide the axes' numbers, which are meaningless for
        t-SNE.
      title: title of the figure.
    """
    palette = make_palette(None) / 255
    if len(class_names) <= 20:  # of which matplotlib has colours that are named more easily
        palette = np.array(colormaps["tab10" if len(class_names) <= 10 else "tab20"].colors)
    with new_figure(7.5, 6.4, title) as figure:
        axis = figure.subplots()
        size = float(np.clip(6000 / max(len(labels), 1), 3, 30))
        colors = palette[np.arange(len(class_names)) % len(palette)]
        axis.scatter(*positions.T, c=colors[labels], s=size, alpha=0.8, linewidths=0)
        if wrong is not None and wrong.any():
            axis.scatter(
                *positions[wrong].T, s=2 * size, facecolor="none", edgecolor="black",
                linewidth=0.9, label=f"taken for another class ({wrong.sum()})",
            )  # fmt: skip
            figure.legend(loc="outside lower left")
        present = np.unique(labels)
        for label in present if len(present) <= 40 else ():
            # A median stays amid most dots, where a mean falls between two clusters.
            middle = np.median(positions[labels == label], axis=0)
            axis.annotate(
                class_names[label], middle, ha="center", va="center", fontsize=9,
                bbox={"facecolor": "white", "edgecolor": colors[label], "alpha": 0.85,
                      "boxstyle": "round,pad=0.2"},
            )  # fmt: skip
        axis.set_xlabel(axis_labels[0])
        axis.set_ylabel(axis_labels[1])
        if not any(axis_labels):
            axis.set(xticks=[], yticks=[])
    return figure
