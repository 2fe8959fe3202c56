"""Receptive fields on an image: boxes of theoretical ones, heat of effective ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.analysis import Box, effective_size
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
        for column, field in zip(axes.T, fields, strict=True):
            _draw_box(column[0], image, field)
            if heat:
                _draw_influence(column[1], field)
        for axis in axes.flat:
            hide_frame(axis)
    return figure


def _draw_box(axis: Axes, image: np.ndarray, field: Field) -> None:
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    _outline(axis, field.box)
    height, width = _extent(field.box)
    axis.set_title(field.layer.removeprefix("backbone/"), fontsize=9, loc="center")
    whole = ", and the whole image" if field.box.sees_whole_image else ""
    axis.set_xlabel(f"sees {height} × {width}{whole}", fontsize=8)


def _draw_influence(axis: Axes, field: Field) -> None:
    # The square root shows what is far below the peak, as most of the field is.
    axis.imshow(np.sqrt(field.influence), cmap="magma", vmin=0, vmax=1)
    _outline(axis, field.box)
    side = effective_size(field.influence)
    axis.set_xlabel(f"effective {side:.0f} × {side:.0f}", fontsize=8)


def _outline(axis: Axes, box: Box) -> None:
    top, left = box.start
    height, width = _extent(box)
    axis.add_patch(
        Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=ORANGE, linewidth=2)
    )


def _extent(box: Box) -> tuple[int, int]:
    return box.stop[0] - box.start[0], box.stop[1] - box.start[1]
