"""Cross-correlation: the worked example, and kernels on a digit."""

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis import textbook
from cnnlab.course.figures.digits import scene, show
from cnnlab.course.figures.grid import draw_grid, draw_sign, equation, window
from cnnlab.report.style import new_figure

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
    with new_figure(9.6, 2.3) as figure:
        axes = figure.subplots(1, 1 + len(KERNELS))
        show(axes[0], image, "input")
        for axis, (name, kernel) in zip(axes[1:], KERNELS.items(), strict=True):
            # Continued by its nearest pixels, so that no edge is seen at the border.
            sides = len(kernel) // 2
            found = textbook.cross_correlate(image, kernel, padding=sides, mode="edge")
            show(axis, found, name, signed="mean" not in name)
    return figure


def convolution_gradient() -> Figure:
    """The gradient of the output, carried back to the kernel and to the image."""
    cotangent = np.array([[1, 0], [0, 2]])
    grad_image, grad_kernel = textbook.cross_correlate_gradients(
        INPUT[..., None], KERNEL[..., None, None], cotangent[..., None]
    )
    flipped = KERNEL[::-1, ::-1]
    one = dict.fromkeys(window(0, 0, 2, 2), SKY)
    other = dict.fromkeys(window(1, 1, 2, 2), SAND)
    with new_figure(7.4, 4.0) as figure:
        rows = (
            (
                (INPUT, {"title": "input"}),
                "⋆",
                (cotangent, {"title": "gradient of the output",
                             "colors": {(0, 0): SKY, (1, 1): SAND}}),
                "=",
                (grad_kernel[..., 0, 0], {"title": "gradient of the kernel"}),
            ),
            (
                (textbook.pad(cotangent, 1), {"title": "gradient of the output, padded by 1",
                                              "colors": {(1, 1): SKY, (2, 2): SAND}}),
                "⋆",
                (flipped, {"title": "kernel, turned by 180°"}),
                "=",
                (grad_image[..., 0], {"title": "gradient of the input", "colors": one | other
                                      | {(1, 1): "#a8dccb"}}),
            ),
        )  # fmt: skip
        axes = figure.subplots(2, 5, width_ratios=(4, 0.7, 2.6, 0.7, 3), height_ratios=(3, 4))
        for row, terms in zip(axes, rows, strict=True):
            for axis, term in zip(row, terms, strict=True):
                if isinstance(term, str):
                    draw_sign(axis, term)
                else:
                    draw_grid(axis, term[0], **term[1])
    return figure
