"""One look for all figures."""

import contextlib
from collections.abc import Iterator

import matplotlib as mpl

# Okabe & Ito's palette: told apart with any colour vision.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6b6b6b"


@contextlib.contextmanager
def figure_style() -> Iterator[None]:
    """Draws the figures made inside alike."""
    with mpl.rc_context(
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
    ):
        yield
