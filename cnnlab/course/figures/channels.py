"""Channels: sums over the inputs, and a set of kernels for each output."""

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis import textbook
from cnnlab.course.figures.convolution import INPUT, KERNEL, SAND, SKY
from cnnlab.course.figures.grid import draw_grid, draw_sign, window
from cnnlab.report.style import new_figure


def channels() -> Figure:
    """Two input channels: each is correlated with a kernel of its own, and the results add up."""
    inputs, kernel = [INPUT, INPUT + 1], [KERNEL, KERNEL + 1]
    results = [textbook.cross_correlate(x, k) for x, k in zip(inputs, kernel, strict=True)]
    first = dict.fromkeys(window(0, 0, 2, 2), SKY)
    with new_figure(7.2, 3.0) as figure:
        grid = figure.add_gridspec(2, 7, width_ratios=(3, 0.8, 2, 0.8, 2, 0.8, 2))
        for row in range(2):
            terms = (
                (inputs[row], {"colors": first, "title": f"channel {row + 1}"}),
                "⋆",
                (kernel[row], {"colors": dict.fromkeys(window(0, 0, 2, 2), SAND)}),
                "=",
                (results[row], {"colors": {(0, 0): SKY}}),
            )
            for column, term in enumerate(terms):
                axis = figure.add_subplot(grid[row, column])
                if isinstance(term, str):
                    draw_sign(axis, term)
                else:
                    draw_grid(axis, term[0], **term[1])
        draw_sign(figure.add_subplot(grid[:, 5]), "Σ")
        total = np.sum(results, axis=0)
        draw_grid(figure.add_subplot(grid[:, 6]), total, colors={(0, 0): SKY}, title="output")
    return figure


def output_channels() -> Figure:
    """Two inputs, three outputs: each output has a kernel for each input."""
    inputs = np.stack([INPUT, INPUT + 1], axis=-1)
    weights = np.stack([np.stack([KERNEL, KERNEL + 1], axis=-1) + n for n in range(3)], axis=-1)
    outputs = textbook.cross_correlate_channels(inputs, weights)
    colors = (SKY, SAND, "#a8dccb")
    with new_figure(7.6, 4.1) as figure:
        grid = figure.add_gridspec(6, 7, width_ratios=(3, 0.7, 2, 0.4, 2, 0.7, 2.6))
        for channel in range(2):
            axis = figure.add_subplot(grid[3 * channel : 3 * channel + 3, 0])
            draw_grid(axis, inputs[..., channel], title=f"input {channel + 1}")
        draw_sign(figure.add_subplot(grid[:, 1]), "⋆")
        for out, color in enumerate(colors):
            rows = slice(2 * out, 2 * out + 2)
            cells = dict.fromkeys(window(0, 0, 2, 2), color)
            for channel in range(2):
                axis = figure.add_subplot(grid[rows, 2 + 2 * channel])
                title = f"output {out + 1}, input {channel + 1}"
                draw_grid(axis, weights[..., channel, out], colors=cells, title=title)
            draw_sign(figure.add_subplot(grid[rows, 5]), "=")
            axis = figure.add_subplot(grid[rows, 6])
            draw_grid(axis, outputs[..., out], colors=cells, title=f"output {out + 1}")
    return figure


def one_by_one() -> Figure:
    """A 1x1 kernel with three inputs and two outputs: the same small dense layer at each pixel."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (3, 3, 3))
    weights = np.array([[1, 0], [0, 1], [1, -1]])
    y = textbook.cross_correlate_channels(x, weights[None, None])
    cell = {(1, 1): SKY}
    with new_figure(7.6, 1.75) as figure:
        axes = figure.subplots(1, 8, width_ratios=(3, 3, 3, 0.8, 2, 0.8, 3, 3))
        for channel in range(3):
            draw_grid(axes[channel], x[..., channel], colors=cell, title=f"input {channel + 1}")
        draw_sign(axes[3], "·")
        draw_grid(axes[4], weights, colors=dict.fromkeys(np.ndindex(3, 2), SAND), title="kernel")
        draw_sign(axes[5], "=")
        for channel in range(2):
            draw_grid(
                axes[6 + channel], y[..., channel], colors=cell, title=f"output {channel + 1}"
            )
    return figure
