"""Figure of the first layer's filters."""

from matplotlib.figure import Figure

from cnnlab.analysis.filters import Filters
from cnnlab.report.picture_grid import Picture, plot_pictures
from cnnlab.report.pixels import filter_images, magnify

_COLUMNS = 8


def plot_filters(filters: Filters, *, title: str = "") -> Figure:
    """Draws every filter, up to 128 of them; see `filter_images` for the colours."""
    images = [Picture(magnify(image, 40)) for image in filter_images(filters.kernels[:128])]
    columns = _COLUMNS if len(images) <= 64 else 2 * _COLUMNS
    rows = [images[first : first + columns] for first in range(0, len(images), columns)]
    return plot_pictures(rows, title=title)
