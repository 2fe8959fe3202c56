"""Reliability diagram."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.calibration import Reliability
from cnnlab.report.style import BLUE, GREEN, GREY, RED, figure_style


def plot_reliability(found: Mapping[str, Reliability], *, title: str = "") -> Figure:
    """Accuracy over confidence, a panel for each judgement, and below how many examples there are.

    Where bars end below the diagonal, the network is surer than it is right (red), and less sure
    above it (green); these parts are what the calibration error adds up.

    Args:
      found: by the words above each panel, e.g. before and after temperature scaling.
      title: above all.
    """
    with figure_style():
        figure = Figure(figsize=(4.4 * len(found), 5.0), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        axes = figure.subplots(2, len(found), squeeze=False, height_ratios=[3, 1], sharex=True)
        for (top, bottom), (name, one) in zip(axes.T, found.items(), strict=True):
            left, width = one.edges[:-1], np.diff(one.edges)
            used = one.counts > 0
            accuracy = one.accuracy[used]
            top.bar(left[used], accuracy, width[used], align="edge", color=BLUE, alpha=0.85,
                    edgecolor="white", label="accuracy")  # fmt: skip
            gap = one.confidence[used] - accuracy
            for sign, color, label in ((1, RED, "too sure"), (-1, GREEN, "not sure enough")):
                part = sign * gap > 0
                top.bar(left[used][part], gap[part], width[used][part], bottom=accuracy[part],
                        align="edge", color=color, alpha=0.35 if sign > 0 else 1.0,
                        edgecolor=color, label=label)  # fmt: skip
            top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
            top.set(xlim=(0, 1), ylim=(0, 1), title=name)
            top.text(0.03, 0.97, f"ECE {100 * one.ece:.2f} %\nNLL {one.nll:.3f}", va="top",
                     transform=top.transAxes)  # fmt: skip
            bottom.bar(left, one.counts, width, align="edge", color=GREY, edgecolor="white")
            bottom.set_xlabel("confidence")
        axes[0, 0].set_ylabel("accuracy")
        axes[1, 0].set_ylabel("examples")
        axes[0, 0].legend(loc="upper left", bbox_to_anchor=(0.0, 0.82), fontsize=8)
    return figure
