"""Normalization: which numbers share a mean and a variance."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.course.figures.convolution import SKY
from cnnlab.course.figures.grid import draw_grid
from cnnlab.report.style import BLUE, new_figure

_EXAMPLES, _CHANNELS, _POSITIONS = 4, 6, 5


def norm_axes() -> Figure:
    """Numbers of a batch of maps, and those that one mean of each norm is taken over.

    Each block is an example: a column for each channel, a row for each position.
    """
    example, channel, position = np.meshgrid(
        range(_EXAMPLES), range(_CHANNELS), range(_POSITIONS), indexing="ij"
    )
    shared = {
        "batch norm": channel == 1,
        "layer norm, at each position": (example == 1) & (position == 2),
        "group norm, 3 groups": (example == 1) & (channel < 2),
    }
    with new_figure(9.6, 1.3) as figure:
        for axis, (name, inside) in zip(figure.subplots(1, 3), shared.items(), strict=True):
            for n, c, p in np.ndindex(inside.shape):
                axis.add_patch(
                    Rectangle(
                        (n * (_CHANNELS + 1.5) + c, _POSITIONS - p), 1, 1,
                        facecolor=BLUE if inside[n, c, p] else "#ececec", edgecolor="white",
                    )
                )  # fmt: skip
            axis.set(xlim=(-0.5, _EXAMPLES * (_CHANNELS + 1.5)), ylim=(0.5, _POSITIONS + 1.5))
            axis.set_aspect("equal")
            axis.set(xticks=[], yticks=[], xlabel=f"{_EXAMPLES} examples × {_CHANNELS} channels")
            axis.set_title(name, loc="center")
            axis.spines[:].set_visible(False)
            axis.grid(False)
        figure.axes[0].set_ylabel("positions")
    return figure


def layer_norm_observation() -> Figure:
    """One observation of two channels: by one mean, and by a mean at each position."""
    x = layer_norm_example()
    whole = (x - x.mean()) / x.std()
    each = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    columns = (
        ("input", x),
        (f"all numbers: mean {x.mean():g},\nstandard deviation {x.std():.2f}", whole),
        ("at each position: mean\nof its two channels", each),
    )
    with new_figure(7.0, 3.9) as figure:
        axes = figure.subplots(2, 3)
        for column, (name, values) in zip(axes.T, columns, strict=True):
            for channel, axis in enumerate(column):
                colors = {(0, 0): SKY} if name != "input" else {}
                draw_grid(axis, values[..., channel].round(2), colors=colors)
                axis.set_xlabel(f"channel {channel + 1}", fontsize=8.5)
            column[0].set_title(name, fontsize=9, loc="center")
    return figure


def layer_norm_example() -> np.ndarray:
    """[2, 2, 2], as the layer norm page works it out."""
    return np.array([[[1.0, 3.0], [2.0, 6.0]], [[3.0, 7.0], [4.0, 6.0]]])
