"""Figure of a map of examples."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cnnlab.report.palette import make_palette
from cnnlab.report.style import figure_style


def plot_embedding(
    positions: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    axis_labels: tuple[str, str] = ("", ""),
    title: str = "",
) -> Figure:
    """A dot for each example in the colour of its class, and the class's name amid its dots.

    Args:
      positions: [examples, 2].
      labels: integers [examples].
      class_names: in the order of the labels.
      axis_labels: empty ones hide the numbers of the axes, which t-SNE gives no meaning.
      title: above the map.
    """
    palette = make_palette(None) / 255
    with figure_style():
        figure = Figure(figsize=(7.5, 6.4), layout="constrained")
        axis = figure.subplots()
        size = float(np.clip(6000 / max(len(labels), 1), 3, 30))
        axis.scatter(*positions.T, c=palette[labels % 255], s=size, alpha=0.8, linewidths=0)
        present = np.unique(labels)
        for label in present if len(present) <= 40 else ():
            # A median stays amid most dots, where a mean falls between two clusters.
            middle = np.median(positions[labels == label], axis=0)
            axis.annotate(
                class_names[label], middle, ha="center", va="center", fontsize=9,
                bbox={"facecolor": "white", "edgecolor": palette[label % 255], "alpha": 0.85,
                      "boxstyle": "round,pad=0.2"},
            )  # fmt: skip
        axis.set_xlabel(axis_labels[0])
        axis.set_ylabel(axis_labels[1])
        if not any(axis_labels):
            axis.set(xticks=[], yticks=[])
        axis.set_title(title)
    return figure
