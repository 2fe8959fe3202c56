"""Stride: windows that are further apart."""

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis import output_size, textbook
from cnnlab.course.figures.convolution import INPUT, KERNEL
from cnnlab.course.figures.grid import equation, window
from cnnlab.report.style import BLUE, GREEN, ORANGE, RED, new_figure

_COLORS = ("#a6d3ee", "#f6d48f", "#a8dccb", "#f0b48a")


def stride() -> Figure:
    """Strides of 3 and 2 on the padded example: four windows, none of which touch."""
    padded = textbook.pad(INPUT, 1)
    result = textbook.cross_correlate(INPUT, KERNEL, padding=1, stride=(3, 2))
    border = {(i, j) for i, j in np.ndindex(5, 5) if i in (0, 4) or j in (0, 4)}
    cells, outputs = {}, {}
    for color, (i, j) in zip(_COLORS, np.ndindex(2, 2), strict=True):
        cells |= dict.fromkeys(window(3 * i, 2 * j, 2, 2), color)
        outputs[i, j] = color
    return equation(
        (padded, {"pale": border, "colors": cells, "title": "3 down, 2 to the right"}),
        "⋆",
        (KERNEL, {"title": "kernel"}),
        "=",
        (result, {"colors": outputs, "title": "output"}),
    )


def output_sizes() -> Figure:
    """Output size over input size for common layers: stairs."""
    layers = {
        "3 × 3, padding 1": (3, 1, 1),
        "3 × 3, no padding": (3, 1, 0),
        "3 × 3, padding 1, stride 2": (3, 2, 1),
        "2 × 2, stride 2": (2, 2, 0),
    }
    sizes = range(5, 25)
    with new_figure(6.0, 3.2) as figure:
        axis = figure.subplots()
        for color, (name, (kernel, step, sides)) in zip(
            (BLUE, GREEN, ORANGE, RED), layers.items(), strict=True
        ):
            outputs = [output_size(size, kernel, step, sides) for size in sizes]
            axis.plot(sizes, outputs, "o-", color=color, markersize=3.5, label=name)
        axis.set(xlabel="input size", ylabel="output size", xticks=range(6, 25, 3))
        axis.legend()
    return figure
