"""Transposed convolution: four kernels laid down and added up; interpolation as a special case."""

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis import textbook
from cnnlab.course.figures.convolution import KERNEL
from cnnlab.course.figures.digits import digit, show
from cnnlab.course.figures.grid import draw_grid, draw_sign, equation, window
from cnnlab.nn.conv_transpose import bilinear_init
from cnnlab.report.style import new_figure

_COLORS = ("#a6d3ee", "#f6d48f", "#a8dccb", "#f0b48a")


def transposed_convolution() -> Figure:
    """[[0, 1], [2, 3]] with itself as the kernel, at stride 1 and at stride 2."""
    with new_figure(8.8, 3.6) as figure:
        grid = figure.add_gridspec(2, 10, width_ratios=(2, 0.6, 4, 0.5, 4, 0.5, 4, 0.5, 4, 0.6 + 4))
        for row, stride in enumerate((1, 2)):
            total = textbook.transposed_convolve(KERNEL, KERNEL, stride=stride)
            colors = dict(zip(np.ndindex(2, 2), _COLORS, strict=True))
            draw_grid(
                figure.add_subplot(grid[row, 0]), KERNEL, colors=colors, title=f"stride {stride}"
            )
            draw_sign(figure.add_subplot(grid[row, 1]), "→")
            for number, (i, j) in enumerate(np.ndindex(2, 2)):
                laid = np.zeros_like(total)
                laid[i * stride : i * stride + 2, j * stride : j * stride + 2] = (
                    KERNEL[i, j] * KERNEL
                )
                cells = window(i * stride, j * stride, 2, 2)
                draw_grid(
                    figure.add_subplot(grid[row, 2 + 2 * number]),
                    laid,
                    colors=dict.fromkeys(cells, _COLORS[number]),
                    pale=set(np.ndindex(laid.shape)) - set(cells),
                )
                if number < 3:
                    draw_sign(figure.add_subplot(grid[row, 3 + 2 * number]), "+")
            last = grid[row, 9].subgridspec(1, 2, width_ratios=(0.6, 4))
            draw_sign(figure.add_subplot(last[0]), "=")
            draw_grid(figure.add_subplot(last[1]), total, title="output")
    return figure


def transposed_padding() -> Figure:
    """Padding of 1 removes the outer rows and columns of the output."""
    full = textbook.transposed_convolve(KERNEL, KERNEL, stride=2)
    kept = textbook.transposed_convolve(KERNEL, KERNEL, stride=2, padding=1)
    inside = window(1, 1, 2, 2)
    return equation(
        (KERNEL, {"title": "input"}),
        "⋆ᵀ",
        (KERNEL, {"title": "kernel, stride 2"}),
        "=",
        (full, {"title": "padding 0", "colors": dict.fromkeys(inside, _COLORS[0]),
                "pale": set(np.ndindex(full.shape)) - set(inside)}),
        "→",
        (kept, {"title": "padding 1", "colors": dict.fromkeys(window(0, 0, 2, 2), _COLORS[0])}),
    )  # fmt: skip


def bilinear() -> Figure:
    """A kernel that makes a transposed convolution of stride 4 an interpolation."""
    kernel = np.asarray(bilinear_init(None, (8, 8, 1, 1)))[..., 0, 0]
    small = digit(3, image_size=8)
    large = textbook.transposed_convolve(small, kernel, stride=4, padding=2)
    repeated = textbook.transposed_convolve(small, np.ones((4, 4)), stride=4)
    with new_figure(8.2, 2.4) as figure:
        axes = figure.subplots(1, 4)
        show(axes[0], small, "8 × 8 pixels")
        show(axes[1], kernel, "bilinear kernel, 8 × 8")
        show(axes[2], large, "laid down at stride 4")
        show(axes[3], repeated, "with a kernel of ones, 4 × 4")
    return figure
