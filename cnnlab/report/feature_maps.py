"""Figure of feature maps."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.feature_maps import strongest_channels
from cnnlab.report.picture_grid import Picture, plot_pictures
from cnnlab.report.pixels import map_image, rgb


def plot_feature_maps(
    image: np.ndarray, maps: Mapping[str, np.ndarray], *, channels: int = 8, title: str = ""
) -> Figure:
    """An image, and below it a row for each map: the channels that vary most over it.

    A map of one position is one picture, with a pixel for each channel, row by row.

    Args:
      image: uint8 [height, width, 1 or 3].
      maps: by name, [height, width, c] each, of that image.
      channels: how many of a map, at most.
      title: above all.
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
    return plot_pictures(rows, title=title, row_labels=labels)


def _square(values: np.ndarray) -> np.ndarray:
    """Values as a square, as nearly as they fill one; what is left over is the least of them."""
    side = int(np.ceil(np.sqrt(values.size)))
    padded = np.full(side * -(-values.size // side), values.min())
    padded[: values.size] = values
    return padded.reshape(-1, side)
