"""Padding: three ways to continue an image, and how often pixels are read."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.analysis import pixel_utilisation, textbook
from cnnlab.course.figures.convolution import INPUT, KERNEL, SKY
from cnnlab.course.figures.digits import digit, show
from cnnlab.course.figures.grid import draw_grid, equation, window
from cnnlab.report.style import ORANGE, new_figure


def padding() -> Figure:
    """The worked example with a border of zeros."""
    padded = textbook.pad(INPUT, 1)
    result = textbook.cross_correlate(INPUT, KERNEL, padding=1)
    border = {(i, j) for i, j in np.ndindex(5, 5) if i in (0, 4) or j in (0, 4)}
    return equation(
        (padded, {"pale": border, "colors": dict.fromkeys(window(0, 0, 2, 2), SKY),
                  "title": "input, padded by 1"}),
        "⋆",
        (KERNEL, {"title": "kernel"}),
        "=",
        (result, {"colors": {(0, 0): SKY}, "title": "4 × 4: larger than the input"}),
    )  # fmt: skip


def padding_modes() -> Figure:
    """A part of a digit, continued by zeros, by its nearest pixels, and reflected."""
    image, margin = digit(5)[6:22, 6:22], 6
    with new_figure(7.2, 2.6) as figure:
        names = {"zero": "zeros", "edge": "nearest pixels", "reflect": "reflected"}
        for axis, (mode, caption) in zip(figure.subplots(1, 3), names.items(), strict=True):
            show(axis, textbook.pad(image, margin, mode), caption, limits=(0.0, 1.0))
            axis.add_patch(
                Rectangle(
                    (margin - 0.5, margin - 0.5), *image.shape, fill=False, edgecolor=ORANGE, lw=1.5
                )
            )
    return figure


def utilisation() -> Figure:
    """How often kernels of 1x1, 2x2 and 3x3 read each pixel of 5x5, and 3x3 with padding."""
    cases = {
        "1 × 1": ((1, 1), (0, 0)),
        "2 × 2": ((2, 2), (0, 0)),
        "3 × 3": ((3, 3), (0, 0)),
        "3 × 3, padded by 1": ((3, 3), (1, 1)),
    }
    with new_figure(8.6, 2.5) as figure:
        for axis, (caption, (kernel, sides)) in zip(
            figure.subplots(1, len(cases)), cases.items(), strict=True
        ):
            counts = pixel_utilisation((5, 5), kernel, padding=sides)
            draw_grid(axis, counts, colors=_shades(counts), title=caption)
    return figure


def _shades(counts: np.ndarray) -> dict[tuple[int, int], str]:
    """Cells in blue, the darker the more often."""
    return {
        cell: f"#{round(244 - 110 * n / 9):02x}{round(244 - 60 * n / 9):02x}f6"
        for cell, n in np.ndenumerate(counts)
    }
