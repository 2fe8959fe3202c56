"""Figure of the statistics of layers."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from cnnlab.analysis.statistics import LayerStatistics
from cnnlab.report.style import BLUE, GREEN, ORANGE, RED, new_figure


def plot_layer_statistics(statistics: LayerStatistics, *, title: str = "") -> Figure:
    """Draws outputs, dead channels and gradients, from the first layer (top) to the last."""
    count = len(statistics.names)
    places = np.arange(count)
    with new_figure(11, 1.6 + 0.24 * max(count, 5), title) as figure:
        outputs, off, gradients = figure.subplots(1, 3, sharey=True, width_ratios=[1.3, 0.8, 1.3])
        far_low, low, middle, high, far_high = statistics.quantiles.T
        outputs.hlines(places, far_low, far_high, color=BLUE, alpha=0.35, label="98 % of values")
        outputs.hlines(places, low, high, color=BLUE, linewidth=6, alpha=0.6, label="50 %")
        outputs.plot(middle, places, "o", color="black", markersize=3, label="median")
        outputs.axvline(0, color="#888888", linewidth=0.8)
        threshold, ticks = _ticks(statistics.quantiles)
        outputs.set_xscale("symlog", linthresh=threshold)
        outputs.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        outputs.xaxis.set_minor_locator(NullLocator())
        outputs.set_xlim(1.1 * statistics.quantiles.min(), 1.1 * statistics.quantiles.max())
        outputs.set_title("outputs")
        off.barh(places, 100 * statistics.off, color=ORANGE, height=0.7)
        off.set_xlim(0, 100)
        off.set_title("channels never above 0 (%)")
        for values, color, name in (
            (statistics.gradient, RED, "outputs"),
            (statistics.weight_gradient, GREEN, "weights"),
        ):
            gradients.plot(
                np.where(values > 0, values, np.nan),
                places,
                "o-",
                color=color,
                markersize=3,
                label=name,
            )
        gradients.set_xscale("log")
        shown = np.concatenate([statistics.gradient, statistics.weight_gradient])
        shown = shown[shown > 0]
        narrow = not shown.size or shown.max() < 100 * shown.min()
        gradients.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
        gradients.xaxis.set_major_formatter("{x:g}")
        gradients.xaxis.set_minor_formatter(NullFormatter())
        gradients.set_title("gradient of the loss (root mean square)")
        outputs.set_yticks(places, statistics.names, fontsize=8)
        outputs.set_ylim(count - 0.5, -0.5)
        for axis in (outputs, gradients):
            below = -0.6 / (0.24 * count + 1)
            axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, below), ncols=3)
    return figure


def _ticks(quantiles: np.ndarray) -> tuple[float, list[float]]:
    """Power of ten at which the axis changes from linear to logarithmic, and its ticks."""
    sizes = np.abs(quantiles)
    middle = float(np.median(sizes[:, [1, 3]])) or 1.0
    threshold = 10.0 ** np.floor(np.log10(middle))
    decades = range(int(np.ceil(np.log10(max(sizes.max() / threshold, 1.0)))) + 1)
    above = [float(f"{threshold * 10**decade:.0e}") for decade in decades]
    return threshold, [-x for x in reversed(above)] + [0.0] + above
