"""Figure of robustness: scores over ever worse images, and what these look like."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.corruptions import CORRUPTIONS
from cnnlab.analysis.robustness import SeverityCurve
from cnnlab.report.page_format import metric_words
from cnnlab.report.pixels import rgb
from cnnlab.report.style import BLUE, GREY, figure_style


def plot_robustness(
    curves: Mapping[str, SeverityCurve],
    strips: Mapping[str, Sequence[np.ndarray]],
    *,
    metric: str,
    title: str = "",
) -> Figure:
    """A panel for each corruption, and above its curve one image at each severity.

    Args:
      curves: by the kind of corruption.
      strips: by the kind, an image uint8 [height, width, 1 or 3] for each severity.
      metric: name of the score, which is a share.
      title: above all.
    """
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    with figure_style():
        figure = Figure(figsize=(5.2 * columns, 3.6 * rows), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        panels = figure.subfigures(rows, columns, squeeze=False)
        for panel, (kind, curve) in zip(panels.flat, curves.items(), strict=False):
            count = len(curve.severities)
            axes = panel.subplot_mosaic(
                [[f"image{i}" for i in range(count)], ["curve"] * count], height_ratios=[1, 3.2]
            )
            for number, image in enumerate(strips[kind]):
                axis = axes[f"image{number}"]
                axis.imshow(rgb(image), interpolation="nearest")
                axis.grid(False)
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
            axis = axes["curve"]
            # Evenly, so that each value stands below its image.
            places = np.arange(count)
            axis.axhline(100 * curve.scores[0], color=GREY, linestyle="--", linewidth=1)
            axis.plot(places, 100 * curve.scores, "o-", color=BLUE)
            axis.set_xticks(places, [f"{severity:g}" for severity in curve.severities])
            axis.set(xlim=(-0.5, count - 0.5), ylim=(0, 103), ylabel=f"{metric_words(metric)} (%)")
            axis.set_xlabel(CORRUPTIONS[kind].meaning, fontsize=9)
            axes["image0"].set_title(kind, loc="left")
    return figure
