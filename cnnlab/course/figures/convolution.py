"""Cross-correlation: the worked example, and kernels on a digit."""

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis import textbook
from cnnlab.course.figures.digits import scene, show
from cnnlab.course.figures.grid import equation, window
from cnnlab.report.style import figure_style

INPUT = np.arange(9).reshape(3, 3)
KERNEL = np.arange(4).reshape(2, 2)

SKY, SAND = "#a6d3ee", "#f6d48f"

KERNELS = {
    "left to right": np.array([[-1.0, 0.0, 1.0]] * 3),
    "top to bottom": np.array([[-1.0, 0.0, 1.0]] * 3).T,
    "mean of 7 × 7": np.full((7, 7), 1 / 49),
    "pixel minus its surroundings": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]) / 8,
}


def cross_correlation() -> Figure:
    """The first window and its sum of products."""
    result = textbook.cross_correlate(INPUT, KERNEL)
    return equation(
        (INPUT, {"colors": dict.fromkeys(window(0, 0, 2, 2), SKY), "title": "input"}),
        "⋆",
        (KERNEL, {"colors": dict.fromkeys(window(0, 0, 2, 2), SAND), "title": "kernel"}),
        "=",
        (result, {"colors": {(0, 0): SKY}, "title": "0·0 + 1·1 + 3·2 + 4·3 = 19"}),
    )


def kernels() -> Figure:
    """A scene of digits and what four kernels make of it."""
    image = scene(1, size=64)
    with figure_style():
        figure = Figure(figsize=(9.6, 2.3), layout="constrained")
        axes = figure.subplots(1, 1 + len(KERNELS))
        show(axes[0], image, "input")
        for axis, (name, kernel) in zip(axes[1:], KERNELS.items(), strict=True):
            # Continued by its nearest pixels, so that no edge is seen at the border.
            sides = len(kernel) // 2
            found = textbook.cross_correlate(image, kernel, padding=sides, mode="edge")
            show(axis, found, name, signed="mean" not in name)
    return figure
