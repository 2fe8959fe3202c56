"""TIFF files that Pillow does not read without loss: many channels, more than 8 bits, stacks."""

import logging
from pathlib import Path
from typing import IO

import numpy as np
import tifffile

from cnnlab.data.geometry.pixels import MAX_CHANNELS
from cnnlab.errors import UserError

# What it warns of, it either reads or raises; errors are turned into sentences.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_EXTRA_ALPHA = (1, 2)  # associated and unassociated alpha; 0 is another channel
_PILLOW_TYPES = ("bool", "uint8", "uint16", "int16", "int32", "float32")
_PLAIN = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)


def array_layout(
    file: str | Path | IO[bytes], name: str
) -> tuple[tuple[int, int, int], str] | None:
    """Returns the upright shape [height, width, channels] and dtype of a TIFF for `read_tiff`.

    Args:
      file: path or opened file.
      name: name of the file, for messages.

    Returns:
      Shape and dtype; None if Pillow reads the file: one channel, palettes, 8-bit color, alpha.

    Raises:
      UserError: the file has several pages, too many channels, or pixels that are not real
        numbers.
    """
    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        page, pages = tiff.pages.first, _count_pages(tiff)
        axes = series.axes
        if pages > 1 and not ("C" in axes and set(axes) <= set("CYXS")):
            raise UserError(
                f"'{name}' has {pages} pages of {page.imagelength}x{page.imagewidth} pixels: an "
                "image must be one page, so save each page as a file of its own."
            )
        if pages == 1 and _is_plain(page):
            return None
        if page.dtype is None or page.dtype.kind not in "buif":
            raise UserError(f"'{name}' has pixels of type {page.dtype}, which are no real numbers.")
        height, width = page.imagelength, page.imagewidth
        channels = series.size // (height * width)
        if channels > MAX_CHANNELS:
            raise UserError(
                f"'{name}' has {channels} channels, and at most {MAX_CHANNELS} are read."
            )
        if _orientation(page) >= 5:
            height, width = width, height
        return (height, width, channels), str(page.dtype)


def read_tiff(file: str | Path | IO[bytes], name: str) -> np.ndarray:
    """Reads upright pixels [height, width, channels] of a TIFF, in the file's dtype.

    Raises:
      UserError: the compression needs the package imagecodecs, which is not installed.
    """
    with tifffile.TiffFile(file) as tiff:
        series, page = tiff.series[0], tiff.pages.first
        try:
            pixels = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            raise UserError(
                f"'{name}' is compressed by {page.compression.name}, which needs the package "
                "imagecodecs: pip install imagecodecs."
            ) from error
        # Channels may come first (planes, pages of channels) or last (samples of a pixel).
        axes = [axis for axis, length in zip(series.axes, series.shape, strict=True) if length > 1]
        pixels = pixels.reshape([length for length in series.shape if length > 1])
        kinds = "".join(axes)
        place = next((i for i, axis in enumerate(kinds) if axis not in "YX"), None)
        if place is not None:
            pixels = np.moveaxis(pixels, place, -1)
        pixels = pixels.reshape(page.imagelength, page.imagewidth, -1)
        return _upright(pixels, _orientation(page))


def _count_pages(tiff: tifffile.TiffFile) -> int:
    """Number of planes, without thumbnails and pyramids."""
    count = 0
    for series in tiff.series:
        page = series.keyframe
        if not page.is_reduced:
            count += series.size // (page.imagelength * page.imagewidth * page.samplesperpixel)
    return count


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Whether Pillow reads a page without loss."""
    samples = page.samplesperpixel
    if samples == 1:
        return page.dtype in _PILLOW_TYPES
    if page.dtype != np.uint8:
        return False
    if page.photometric not in _PLAIN:
        return True  # CMYK, YCbCr, Lab: Pillow knows how these become RGB
    color = 3 if page.photometric == tifffile.PHOTOMETRIC.RGB else 1
    extra = [int(kind) for kind in page.extrasamples]
    return samples == color or (samples == color + 1 and extra and extra[0] in _EXTRA_ALPHA)


def _orientation(page: tifffile.TiffPage) -> int:
    tag = page.tags.get(274)
    return 1 if tag is None else int(tag.value)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Applies the orientation tag (TIFF 6.0, section 8)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
