"""Figure of shift consistency."""

import numpy as np
from matplotlib.figure import Figure

from cnnlab.report.style import new_figure


def plot_shift_map(shares: np.ndarray, *, title: str = "") -> Figure:
    """Draws the share of images that keep their class for each shift, in color and percent.

    Args:
      shares: [2 m + 1, 2 m + 1], from `consistency_map`.
      title: title of the figure.
    """
    reach = shares.shape[0] // 2
    with new_figure(6.4, 5.4) as figure:
        axis = figure.subplots()
        image = axis.imshow(
            100 * shares, cmap="cividis", vmin=0, vmax=100,
            extent=(-reach - 0.5, reach + 0.5, reach + 0.5, -reach - 0.5),
        )  # fmt: skip
        axis.grid(False)
        ticks = range(-reach, reach + 1)
        axis.set(xticks=ticks, yticks=ticks, title=title)
        axis.set_xlabel("pixels to the right")
        axis.set_ylabel("pixels down")
        for (row, column), share in np.ndenumerate(shares) if reach <= 5 else ():
            axis.text(column - reach, row - reach, f"{100 * share:.0f}", ha="center", va="center",
                      fontsize=8, color="black" if share > 0.5 else "white")  # fmt: skip
        figure.colorbar(image, ax=axis, shrink=0.8, label="images that keep their class (%)")
    return figure
