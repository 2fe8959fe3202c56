"""Figure of several runs' curves: runs that differ by their seeds alone are one curve."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from cnnlab.analysis.curves import Spread
from cnnlab.report.palette import make_palette
from cnnlab.report.style import figure_style


def plot_run_curves(
    panels: Mapping[str, Mapping[str, Spread]],
    *,
    percent: Sequence[str] = ("accuracy", "miou"),
    title: str = "",
) -> Figure:
    """A panel for each number: the mean of each group of runs, and a band from least to largest.

    Args:
      panels: by a number's words, e.g. `validation accuracy`, the spread of each group by name.
      percent: last words of numbers that are shares, and shown in percent.
      title: above all.
    """
    palette = make_palette(None) / 255
    names = list(dict.fromkeys(name for groups in panels.values() for name in groups))
    with figure_style():
        columns = min(len(panels), 2)
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(5.4 * columns, 3.5 * rows + 0.5), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, (what, groups) in zip(axes.flat, panels.items(), strict=False):
            factor = 100 if what.rpartition(" ")[2] in percent else 1
            for name, one in groups.items():
                color = palette[names.index(name) % 255]
                label = f"{name} ({one.count.max()} runs)" if one.count.max() > 1 else name
                axis.plot(one.x, factor * one.mean, color=color, label=label)
                if one.count.max() > 1:
                    low, high = factor * one.low, factor * one.high
                    axis.fill_between(one.x, low, high, color=color, alpha=0.2, linewidth=0)
            axis.set_title(f"{what} (%)" if factor == 100 else what)
            if what.endswith("loss"):
                axis.set_yscale("log")
            axis.set_xlabel("epoch")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=2, fontsize=9)
    return figure
