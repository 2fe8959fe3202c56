"""Reliability diagram."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.evaluation.calibration import Reliability
from cnnlab.report.style import BLUE, GREEN, GREY, RED, new_figure


def plot_reliability(found: Mapping[str, Reliability], *, title: str = "") -> Figure:
    """Draws accuracy over confidence, one panel per result, with the number of examples below.

    Bars that end below the diagonal show overconfidence (red), bars above it underconfidence
    (green); the calibration error sums up these differences.

    Args:
      found: results by the title of their panel, e.g. before and after temperature scaling.
      title: title of the figure.
    """
    with new_figure(4.4 * len(found), 5.0, title) as figure:
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
        named = axes[0, 0].get_legend_handles_labels()
        figure.legend(*named, loc="outside lower center", ncols=3, fontsize=8)  # not over bars
    return figure
