"""One look for all figures."""

import contextlib
import textwrap
from collections.abc import Iterator

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

# Okabe & Ito's palette, whose colours differ for any colour vision.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6b6b6b"

# Colours of the states of a trial, and of the best one; `page.css` has the same names.
STATE_COLORS = {
    "complete": BLUE,
    "pruned": GREY,
    "failed": RED,
    "running": GREEN,
    "waiting": "#c8c8c8",
    "best": ORANGE,
}


def figure_style() -> contextlib.AbstractContextManager[None]:
    """Draws the figures made inside alike."""
    return mpl.rc_context(
        {
            "figure.dpi": 110,
            "savefig.bbox": "tight",
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e6e6e6",
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "lines.linewidth": 1.6,
        }
    )


@contextlib.contextmanager
def new_figure(width: float, height: float, title: str = "") -> Iterator[Figure]:
    """Yields a figure of this size in inches, with its title above all that is drawn inside."""
    with figure_style():
        figure = Figure(figsize=(width, height), layout="constrained")
        add_title(figure, title)
        yield figure


def add_title(figure: Figure, title: str) -> None:
    """Writes a title above all, in as many lines as the figure's width asks for."""
    letters = int(72 * figure.get_figwidth() / 8)  # bold ones of 12 points are 8 wide, or less
    lines = [part for line in title.split("\n") for part in textwrap.wrap(line, letters)]
    if lines:
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontweight="bold", fontsize=12)


def logarithmic(axis: Axes) -> None:
    """Makes the vertical axis logarithmic, with ticks that are plain numbers."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def hide_frame(axis: Axes) -> None:
    """Leaves of an axis only what is drawn on it: pictures have no ticks and no frame."""
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
