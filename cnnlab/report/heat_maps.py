"""Figures of attributions: what Grad-CAM, occlusion and integrated gradients found."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cnnlab.report.picture_grid import Picture, plot_pictures
from cnnlab.report.pixels import heat_overlay, magnify, rgb, signed_image

_SIDE = 112


def plot_heat_maps(
    images: np.ndarray, heats: np.ndarray, captions: Sequence[str], *, title: str = ""
) -> Figure:
    """Images, and below each the heat on it: bright where the class is seen.

    Args:
      images: uint8 [batch, height, width, 1 or 3].
      heats: in [0, 1], [batch, height, width].
      captions: of each image.
      title: above all.
    """
    overlays = [heat_overlay(image, heat) for image, heat in zip(images, heats, strict=True)]
    return _two_rows(images, overlays, captions, title)


def plot_attributions(
    images: np.ndarray, values: np.ndarray, captions: Sequence[str], *, title: str = ""
) -> Figure:
    """Images, and below each what its pixels add to the class, red, or take from it, blue.

    The full colour is that of the 99th percentile of an image, which a few large pixels would hide.

    Args:
      images: uint8 [batch, height, width, 1 or 3].
      values: [batch, height, width].
      captions: of each image.
      title: above all.
    """
    limits = np.quantile(np.abs(values), 0.99, axis=(1, 2))
    drawn = [signed_image(value, limit) for value, limit in zip(values, limits, strict=True)]
    return _two_rows(images, drawn, captions, title)


def _two_rows(
    images: np.ndarray, below: Sequence[np.ndarray], captions: Sequence[str], title: str
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
    return plot_pictures(rows, title=title)
