"""Figure of robustness: scores over the severity of corruptions, with example images."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.evaluation.corruptions import CORRUPTIONS
from cnnlab.analysis.evaluation.robustness import SeverityCurve
from cnnlab.report.pixels import rgb
from cnnlab.report.style import BLUE, GREY, hide_frame, new_figure
from cnnlab.tasks.words import metric_words


def plot_robustness(
    curves: Mapping[str, SeverityCurve],
    strips: Mapping[str, Sequence[np.ndarray]],
    *,
    metric: str,
    title: str = "",
) -> Figure:
    """Draws a panel for each corruption: a curve below an image at each severity.

    Args:
      curves: curve of each kind of corruption.
      strips: images uint8 [height, width, 1 or 3] at each severity, by kind.
      metric: name of the score, which is in [0, 1].
      title: title of the figure.
    """
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    with new_figure(5.2 * columns, 3.6 * rows, title) as figure:
        panels = figure.subfigures(rows, columns, squeeze=False)
        for panel, (kind, curve) in zip(panels.flat, curves.items(), strict=False):
            count = len(curve.severities)
            axes = panel.subplot_mosaic(
                [[f"image{i}" for i in range(count)], ["curve"] * count], height_ratios=[1, 3.2]
            )
            for number, image in enumerate(strips[kind]):
                axis = axes[f"image{number}"]
                axis.imshow(rgb(image), interpolation="nearest")
                axis.set_title(f"{curve.severities[number]:g}", fontsize=8, loc="center")
                hide_frame(axis)
            axis = axes["curve"]
            axis.axhline(100 * curve.scores[0], color=GREY, linestyle="--", linewidth=1)
            axis.plot(curve.severities, 100 * curve.scores, "o-", color=BLUE)
            axis.set(ylim=(0, 103), ylabel=f"{metric_words(metric)} (%)")
            axis.set_xlabel(CORRUPTIONS[kind].meaning, fontsize=9)
            panel.suptitle(kind, x=0.02, ha="left", fontsize=11)
    return figure
