"""Label maps as pixels: overlays and indexed files, without matplotlib, which loads slowly."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cnnlab.report.pixels import rgb
from cnnlab.storage.output_file import output_file


def background_class(class_names: Sequence[str]) -> int | None:
    """Returns the class that is transparent and black: `background`, or 0 if names are numbers.

    None if there is neither.
    """
    if list(class_names) == [str(label) for label in range(len(class_names))]:
        return 0
    return class_names.index("background") if "background" in class_names else None


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    palette: np.ndarray,
    *,
    background: int | None = 0,
    opacity: float = 0.6,
) -> np.ndarray:
    """Tints an image by its classes, with a line of one pixel along their inner edges.

    Args:
      image: uint8 [height, width, 1 or 3].
      labels: uint8 [height, width].
      palette: uint8 [256, 3].
      background: class without tint and line.
      opacity: opacity of the tint, 0 to 1.

    Returns:
      uint8 [height, width, 3].
    """
    pixels, colors = rgb(image), palette[labels]
    tinted = (pixels + opacity * (colors - pixels.astype(np.float32))).round().astype(np.uint8)
    tinted = np.where(_edges(labels)[:, :, None], colors, tinted)
    if background is not None:
        tinted = np.where((labels == background)[:, :, None], pixels, tinted)
    return tinted


def save_indexed_png(path: str | Path, labels: np.ndarray, palette: np.ndarray) -> None:
    """Writes a label map as an indexed PNG, whose pixels are the labels.

    Args:
      path: path of the file.
      labels: uint8 [height, width].
      palette: uint8 [256, 3].
    """
    image = Image.fromarray(labels)
    image.putpalette(palette.tobytes())
    with output_file(path) as temporary:
        image.save(temporary, format="PNG")


def _edges(labels: np.ndarray) -> np.ndarray:
    """Pixels with a 4-neighbour of another class."""
    edges = np.zeros(labels.shape, bool)
    beside, below = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edges[:, 1:] |= beside
    edges[:, :-1] |= beside
    edges[1:] |= below
    edges[:-1] |= below
    return edges
