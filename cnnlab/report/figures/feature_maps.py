"""Figures of the first layer's filters and of feature maps."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.feature_maps import strongest_channels
from cnnlab.analysis.filters import Filters
from cnnlab.report.figures.picture_grid import Picture, plot_pictures
from cnnlab.report.pixels import filter_images, magnify, map_image, rgb

_COLUMNS = 8  # of filters


def plot_filters(filters: Filters, *, title: str = "") -> Figure:
    """Draws up to 128 filters, with the colors of `filter_images`."""
    images = [Picture(magnify(image, 40)) for image in filter_images(filters.kernels[:128])]
    columns = _COLUMNS if len(images) <= 64 else 2 * _COLUMNS
    rows = [images[first : first + columns] for first in range(0, len(images), columns)]
    return plot_pictures(rows, title=title)


def plot_feature_maps(
    image: np.ndarray, maps: Mapping[str, np.ndarray], *, channels: int = 8, title: str = ""
) -> Figure:
    """Draws an image and, for each map, a row of the channels that vary most.

    A map with one position is one picture with a pixel per channel, row by row.

    Args:
      image: uint8 [height, width, 1 or 3].
      maps: maps of that image by name, [height, width, c] each.
      channels: largest number of channels per map.
      title: title of the figure.
    """
    rows, labels = [[Picture(rgb(image))]], ["image"]
    for name, values in maps.items():
        if values[:, :, 0].size == 1:
            rows.append([Picture(map_image(_square(values.ravel())), "all channels")])
        else:
            chosen = strongest_channels(values[None], channels)[0]
            rows.append([Picture(map_image(values[:, :, c]), f"channel {c}") for c in chosen])
        size = "x".join(map(str, values.shape))
        labels.append(f"{name}\n{size}")
    how = "Channels that vary most come first; each from its least, dark, to its largest value."
    return plot_pictures(rows, title=f"{title}\n{how}", row_labels=labels)


def _square(values: np.ndarray) -> np.ndarray:
    """Values reshaped to a square, filled up with the smallest value."""
    side = int(np.ceil(np.sqrt(values.size)))
    padded = np.full(side * -(-values.size // side), values.min())
    padded[: values.size] = values
    return padded.reshape(-1, side)
