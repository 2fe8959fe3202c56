"""Pooling: the worked example, and what it does to a shift."""

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis import textbook
from cnnlab.analysis.evaluation.corruptions import shift
from cnnlab.course.figures.convolution import INPUT, SKY
from cnnlab.course.figures.digits import scene, show
from cnnlab.course.figures.grid import equation, window
from cnnlab.report.style import new_figure


def pooling() -> Figure:
    """The largest value and the mean of each 2x2 window."""
    first = dict.fromkeys(window(0, 0, 2, 2), SKY)
    return equation(
        (INPUT, {"colors": first, "title": "input"}),
        "→",
        (textbook.pool(INPUT, 2), {"colors": {(0, 0): SKY}, "title": "2 × 2, max"}),
        "or",
        (textbook.pool(INPUT, 2, kind="avg"), {"colors": {(0, 0): SKY}, "title": "2 × 2, mean"}),
    )


def pooling_and_shifts() -> Figure:
    """Edges of digits, and of the same digits a pixel further, pooled more and more.

    Below each pair stands how much they differ, as a share of their own size.
    """
    image = scene(2, size=49)
    moved = shift(image[:, :, None], 0, 1)[..., 0]
    edges = [
        np.abs(textbook.cross_correlate(x[:48], np.array([[-1.0, 1.0]]))) for x in (image, moved)
    ]
    with new_figure(8.4, 3.9) as figure:
        columns = figure.subplots(2, 4).T
        for column, times in zip(columns, range(4), strict=True):
            maps = edges
            for _ in range(times):
                maps = [textbook.pool(x, 2, stride=2) for x in maps]
            apart = np.linalg.norm(maps[0] - maps[1]) / np.linalg.norm(maps[0])
            size = f"{maps[0].shape[0]} × {maps[0].shape[1]}"
            for axis, values in zip(column, maps, strict=True):
                show(axis, values)
            column[0].set_title(
                "edges" if not times else f"pooled {times} ×", fontsize=9, loc="center"
            )
            column[1].set_xlabel(f"{size}, differ by {100 * apart:.0f} %", fontsize=8)
        columns[0][0].set_ylabel("as it is", fontsize=9)
        columns[0][1].set_ylabel("1 pixel further", fontsize=9)
    return figure
