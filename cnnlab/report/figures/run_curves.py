"""Figure of several runs' curves; runs that differ only by seed form one curve."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from cnnlab.analysis.curves import Spread
from cnnlab.report.palette import make_palette
from cnnlab.report.style import logarithmic, new_figure
from cnnlab.tasks.words import SHARES, metric_words


def plot_run_curves(panels: Mapping[str, Mapping[str, Spread]], *, title: str = "") -> Figure:
    """Draws a panel for each metric: the mean of each group of runs, and a band from min to max.

    Args:
      panels: spread of each group by split and metric, e.g. `validation accuracy`.
      title: title of the figure.
    """
    palette = make_palette(None) / 255
    names = list(dict.fromkeys(name for groups in panels.values() for name in groups))
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    with new_figure(5.4 * columns, 3.5 * rows + 0.5, title) as figure:
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, (what, groups) in zip(axes.flat, panels.items(), strict=False):
            split, _, number = what.rpartition(" ")
            factor = 100 if number in SHARES else 1
            for name, one in groups.items():
                color = palette[names.index(name) % 255]
                label = f"{name} ({one.count.max()} runs)" if one.count.max() > 1 else name
                axis.plot(one.x, factor * one.mean, color=color, label=label)
                if one.count.max() > 1:
                    low, high = factor * one.low, factor * one.high
                    axis.fill_between(one.x, low, high, color=color, alpha=0.2, linewidth=0)
            axis.set_title(f"{split} {metric_words(number)}" + " (%)" * (factor == 100))
            if number == "loss":
                logarithmic(axis)
            axis.set_xlabel("epoch")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=2, fontsize=9)
    return figure
