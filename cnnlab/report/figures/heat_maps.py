"""Figures of attributions: Grad-CAM, occlusion and integrated gradients."""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from cnnlab.report.figures.picture_grid import Picture, plot_pictures
from cnnlab.report.pixels import heat_overlay, magnify, rgb, signed_image

_SIDE = 112


def plot_heat_maps(
    images: np.ndarray,
    heats: np.ndarray,
    captions: Sequence[str],
    *,
    limit: float = 1.0,
    label: str = "",
    title: str = "",
) -> Figure:
    """Draws images and, below each, an overlay of its heat from blue to red.

    Args:
      images: uint8 [batch, height, width, 1 or 3].
      heats: in [0, limit], [batch, height, width].
      captions: caption of each image.
      limit: heat at the end of the color scale, the same for all images.
      label: meaning of the heat, with its unit.
      title: title of the figure.
    """
    shares = heats / limit
    overlays = [heat_overlay(image, share) for image, share in zip(images, shares, strict=True)]
    return _two_rows(
        images, overlays, captions, title, ScalarMappable(Normalize(0.0, limit), "turbo"), label
    )


def plot_attributions(
    images: np.ndarray, values: np.ndarray, captions: Sequence[str], *, title: str = ""
) -> Figure:
    """Draws images and, below each, its pixels' contributions: positive red, negative blue.

    The color scale ends at the 99th percentile of an image, as a few large values would hide the
    rest.

    Args:
      images: uint8 [batch, height, width, 1 or 3].
      values: [batch, height, width].
      captions: caption of each image.
      title: title of the figure.
    """
    limits = np.quantile(np.abs(values), 0.99, axis=(1, 2))
    drawn = [signed_image(value, limit) for value, limit in zip(values, limits, strict=True)]
    scale = ScalarMappable(Normalize(-1.0, 1.0), "RdBu_r")
    return _two_rows(images, drawn, captions, title, scale, "share of an image's 99th percentile")


def _two_rows(
    images: np.ndarray,
    below: Sequence[np.ndarray],
    captions: Sequence[str],
    title: str,
    scale: ScalarMappable,
    scale_label: str,
) -> Figure:
    rows = []
    for first in range(0, len(images), 8):
        chosen = slice(first, first + 8)
        rows.append([Picture(magnify(rgb(image), _SIDE)) for image in images[chosen]])
        rows.append(
            [
                Picture(magnify(image, _SIDE), caption)
                for image, caption in zip(below[chosen], captions[chosen], strict=True)
            ]
        )
    return plot_pictures(rows, title=title, scale=scale, scale_label=scale_label)
