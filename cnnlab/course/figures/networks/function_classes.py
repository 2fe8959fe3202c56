"""Function classes that grow: drawn as sets, and measured with least squares."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, RED, new_figure

_COLORS = (BLUE, GREEN, ORANGE, RED)
TERMS = (1, 2, 3, 4, 5, 6)


def target(x: np.ndarray) -> np.ndarray:
    """The function to approximate: an even hump, which odd sines alone cannot make."""
    return np.exp(-4.0 * (x - 0.25) ** 2) + 0.4 * x


def errors() -> dict[str, list[float]]:
    """Root mean square error of the best function of each class, by its number.

    The nested classes are polynomials of degree 1 to 6: each contains those before it. The others
    hold one basis each, a + b sin(n pi x) for n from 1 to 6: as many functions, and a "larger" n
    oscillates faster, but none contains another.
    """
    x = np.linspace(-1.0, 1.0, 201)
    y = target(x)

    def error(columns: list[np.ndarray]) -> float:
        basis = np.stack(columns, axis=-1)
        return float(np.sqrt(np.mean((basis @ np.linalg.lstsq(basis, y)[0] - y) ** 2)))

    return {
        "nested": [error([x**k for k in range(n + 1)]) for n in TERMS],
        "not nested": [error([x**0, np.sin(n * np.pi * x)]) for n in TERMS],
    }


def function_classes() -> Figure:
    """Sets that move about, sets inside one another, and the error of the best function in each."""
    with new_figure(9.6, 3.2) as figure:
        loose, nested, measured = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
        centres = ((1.0, 1.2), (2.1, 2.1), (1.5, 3.3), (3.3, 1.5))
        for n, (x, y) in enumerate(centres):
            size = 1.1 + 0.5 * n
            loose.add_patch(Ellipse((x, y), size, 0.8 * size, fill=False, color=_COLORS[n]))
            loose.text(x, y, f"$F_{n + 1}$", ha="center", va="center", color=_COLORS[n])
        for n in range(4):
            size = 1.0 + 1.0 * n
            nested.add_patch(
                Ellipse((1.0 + 0.42 * n, 1.6 + 0.25 * n), size, 0.9 * size, fill=False,
                        color=_COLORS[n])
            )  # fmt: skip
            nested.text(0.95 + 0.86 * n, 1.6 + 0.45 * n, f"$F_{n + 1}$", ha="center", va="center",
                        color=_COLORS[n])  # fmt: skip
        for axis, name in ((loose, "not nested"), (nested, "nested")):
            axis.plot(4.55, 4.2, "*", color=RED, markersize=11)
            axis.text(4.4, 4.2, "$f^*$", ha="right", va="center")
            axis.set(xlim=(-0.4, 5.0), ylim=(-0.3, 4.7), aspect="equal")
            axis.set_axis_off()
            axis.set_title(name, loc="center")
        for (name, values), color in zip(errors().items(), (BLUE, GREY), strict=True):
            measured.plot(TERMS, values, "o-", color=color, label=name)
        measured.set(
            xlabel="number of the class", ylabel="error of its best function", ylim=(0, None)
        )
        measured.legend()
    return figure
