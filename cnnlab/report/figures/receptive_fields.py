"""Receptive fields on an image: boxes of theoretical ones, heat of effective ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.analysis import Box, effective_size
from cnnlab.report.pixels import rgb
from cnnlab.report.style import ORANGE, hide_frame, new_figure


class Field(NamedTuple):
    """The receptive field of one position of a layer.

    Attributes:
      layer: name of the layer.
      box: pixels that the position depends on, from `cnnlab.analysis.receptive_box`.
      influence: influence of each pixel, [height, width], from
        `cnnlab.analysis.effective_receptive_field`; or None.
    """

    layer: str
    box: Box
    influence: np.ndarray | None = None


def plot_receptive_fields(image: np.ndarray, fields: Sequence[Field], *, title: str = "") -> Figure:
    """Draws the image with the box of each layer and, below, the influence of each pixel.

    Args:
      image: uint8 [height, width, 1 or 3].
      fields: fields of several layers of one network; either all with an influence or none.
      title: title of the figure.
    """
    heat = fields[0].influence is not None
    with new_figure(1.9 * len(fields) + 0.3, 4.5 if heat else 2.5, title) as figure:
        axes = figure.subplots(1 + heat, len(fields), squeeze=False)
        for column, (layer, box, influence) in zip(axes.T, fields, strict=True):
            (top, left), height, width = box.start, *np.subtract(box.stop, box.start)
            column[0].imshow(rgb(image))
            column[0].set_title(layer.removeprefix("backbone/"), fontsize=9, loc="center")
            whole = ", and the whole image" if box.sees_whole_image else ""
            column[0].set_xlabel(f"sees {height} × {width}{whole}", fontsize=8)
            if heat:
                # The square root shows what is far below the peak, as most of the field is.
                column[1].imshow(np.sqrt(influence), cmap="magma", vmin=0, vmax=1)
                side = effective_size(influence)
                column[1].set_xlabel(f"effective {side:.0f} × {side:.0f}", fontsize=8)
            for axis in column:
                axis.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False,
                                         edgecolor=ORANGE, linewidth=2))  # fmt: skip
                hide_frame(axis)
    return figure
