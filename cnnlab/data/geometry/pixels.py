"""Scales pixels and labels and puts them into frames by a `Placement`."""

import numpy as np
from PIL import Image

from cnnlab.data.geometry.placement import Placement, Size, mirrored
from cnnlab.data.source import IGNORE

MAX_CHANNELS = 16  # of an image file
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
Box = tuple[float, float, float, float]


def place_pixels(
    pixels: np.ndarray, placement: Placement, channels: int, interpolation: str = "bicubic"
) -> np.ndarray:
    """Puts pixels [h, w, c] into a frame [height, width, channels] of the same dtype.

    Color is converted to gray by luma (ITU-R 601); gray is repeated.
    """
    if pixels.shape == (*placement.frame, channels) and placement.box == (0, 0, *placement.frame):
        return pixels
    cut = placement.cut
    if cut is not None:
        pixels = pixels[cut]
    if pixels.shape[2] == 3 and channels == 1:
        pixels = _gray(pixels)
    if cut is None:
        pixels = resize_pixels(pixels, placement.size, placement.box, interpolation)
    pixels = _framed(pixels, placement, placement.fill)
    return pixels if pixels.shape[2] == channels else np.repeat(pixels, channels, axis=2)


def place_labels(labels: np.ndarray, placement: Placement) -> np.ndarray:
    """Puts labels [h, w] into a frame by nearest neighbour; positions around them are ignored."""
    if placement.cut is not None:
        labels = labels[placement.cut]
    else:
        top, left, bottom, right = placement.box
        labels = np.asarray(
            Image.fromarray(labels).resize(
                placement.size[::-1], Image.Resampling.NEAREST, (left, top, right, bottom)
            )
        )
    return _framed(labels, placement, IGNORE)


def resize_pixels(
    pixels: np.ndarray, size: Size, box: Box | None = None, interpolation: str = "bicubic"
) -> np.ndarray:
    """Scales pixels [h, w, channels] to a height and width, antialiased.

    Args:
      pixels: uint8, uint16 or float32.
      size: new height and width.
      box: top, left, bottom, right of the part to scale; None scales all.
      interpolation: interpolation of `cnnlab.data.geometry.placement.Geometry`.
    """
    if pixels.shape[:2] == tuple(size) and box is None:
        return pixels
    if pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3):
        planes = [Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)]
    else:
        planes = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(pixels, 2, 0)]
    scaled = [resize_plane(plane, size, box, interpolation) for plane in planes]
    if len(scaled) == 1:
        return _as_type(np.asarray(scaled[0]).reshape(*size, -1), pixels.dtype)
    return _as_type(np.stack([np.asarray(plane) for plane in scaled], axis=-1), pixels.dtype)


def resize_plane(
    image: Image.Image, size: Size, box: Box | None, interpolation: str
) -> Image.Image:
    """Scales an image of Pillow; arguments as of `resize_pixels`."""
    if box is not None:
        box = box[1], box[0], box[3], box[2]  # Pillow has columns first
    return image.resize(size[::-1], _FILTERS[interpolation], box)


def _gray(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    return _as_type(pixels @ np.array(_LUMA), pixels.dtype)[..., None]


def _framed(values: np.ndarray, placement: Placement, fill: float | None) -> np.ndarray:
    """Values [h, w, ...] in their frame, surrounded by `fill` or their mirror."""
    if placement.size == placement.frame:
        return values
    pairs = zip(placement.corner, placement.frame, placement.size, strict=True)
    if fill is None:
        rows, columns = (mirrored(-start, side, length) for start, side, length in pairs)
        return values[rows][:, columns]
    framed = np.full((*placement.frame, *values.shape[2:]), fill, values.dtype)
    inside = tuple(slice(start, start + length) for start, _, length in pairs)
    framed[inside] = values
    return framed


def _as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values as `dtype`; floats are rounded and clipped for integers."""
    if dtype.kind == "f" or values.dtype == dtype:
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return values.round().clip(limits.min, limits.max).astype(dtype)
