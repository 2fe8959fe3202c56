"""Reads image files as arrays with their own dtype and channels."""

import functools
import io
import math
import os
import stat
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cnnlab.data.geometry.pixels import MAX_CHANNELS, place_pixels, resize_plane
from cnnlab.data.geometry.placement import Geometry, Place, Placement
from cnnlab.errors import UserError

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff",
                        ".ppm", ".pgm", ".npy"})  # fmt: skip
# Types that images are held in; others are float32.
DTYPES = ("uint8", "uint16")

# What the readers raise on broken files, depending on where they are broken.
UNREADABLE = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,  # tifffile's among them
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
)
# Pillow refuses twice as many pixels as this as a decompression bomb.
Image.MAX_IMAGE_PIXELS = 2**28
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY_MAGIC = b"\x93NUMPY"
_PNG_MAGIC = b"\x89PNG"


class PixelInfo(NamedTuple):
    """Shape and dtype of the pixels of `read_pixels`, from an image file's header.

    Attributes:
      height, width: size in pixels after applying the orientation.
      channels: 1 for gray, 3 for color, or as many as the file has.
      dtype: `uint8`, `uint16` or `float32`.
    """

    height: int
    width: int
    channels: int
    dtype: str


def unreadable(name: str | Path) -> str:
    """Message for a file that raised one of `UNREADABLE`."""
    return f"'{name}' cannot be read as an image: it is corrupt, or no image."


def inspect_image(file: str | Path | bytes, *, name: str | None = None) -> PixelInfo:
    """Reads size, channels and dtype of an image file from its header.

    Args:
      file: path, or the content of a file.
      name: name of the file in messages; by default its path.

    Raises:
      UserError: no such file, or not an image.
    """
    return _guarded(file, _inspect, name or str(file))


def read_pixels(file: str | Path | bytes, *, name: str | None = None) -> np.ndarray:
    """Reads an upright image, [height, width, channels], with the file's values.

    Orientation tags are applied, and transparent pixels are blended with white. Dtypes are uint8 (1
    and 8 bits), uint16, and float32 for all others; 1-bit images have 0 and 255. Channels that are
    marked neither as color nor as alpha are kept. PNG files with 16-bit color are read as 8-bit, as
    by Pillow.

    Args:
      file: path, or the content of a file.
      name: name of the file in messages; by default its path.

    Raises:
      UserError: the file is missing or not a complete image, or has several pages, more than 16
        channels, or values that are not finite.
    """
    return _guarded(file, _read, name or str(file))[0]


def pixel_bytes(shape: tuple[int, ...], dtype: str) -> int:
    """Size of an image in memory, in bytes."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def read_image(
    file: str | Path | bytes,
    shape: tuple[int, int, int],
    dtype: str = "uint8",
    *,
    place: Place | None = None,
    interpolation: str = "bicubic",
    name: str | None = None,
) -> np.ndarray:
    """Reads an image as `read_pixels` and resizes it to a shape.

    A JPEG that is reduced by more than four pixels to one is decoded at a half, a quarter or an
    eighth of its size.

    Args:
      file: path, or the content of a file.
      shape: height, width and channels; color is converted to gray by luma, and gray is repeated.
      dtype: required dtype of the pixels; integers with fewer bits are not scaled.
      place: returns the placement of an image by its size, instead of `Geometry().place`.
      interpolation: interpolation of `cnnlab.data.geometry.placement.Geometry`.
      name: name of the file in messages; by default its path.

    Raises:
      UserError: the file cannot be read, or has other channels or another dtype.
    """
    name = name or str(file)
    if place is None:
        place = functools.partial(Geometry().place, frame=shape[:2])
    # Nearest neighbors are not those of what was averaged before.
    shrink = None if interpolation == "nearest" else place
    pixels, placement = _guarded(file, _read, name, shrink, shape[2], interpolation)
    if pixels.dtype != dtype:
        raise UserError(
            f"'{name}' has {pixels.dtype} pixels, and the data set {dtype}: save all images in one "
            "type, as nothing says how the values of one correspond to those of the other."
        )
    if pixels.shape[2] != shape[2] and {pixels.shape[2], shape[2]} != {1, 3}:
        raise UserError(
            f"'{name}' has {pixels.shape[2]} channels, and the data set {shape[2]}: save all "
            "images with the same channels."
        )
    placement = placement or place(pixels.shape[:2])
    return place_pixels(pixels, placement, shape[2], interpolation)


def _guarded(
    file: str | Path | bytes, read: Callable[..., Any], name: str, *arguments: object
) -> Any:
    """Calls `read` with the opened file and turns its errors into one sentence."""
    try:
        with _opened(file, name) as stream:
            return read(stream, name, *arguments)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"There is no image '{name}'.") from error
    except PermissionError as error:
        raise UserError(f"'{name}' may not be read: {error.strerror}.") from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"'{name}' has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels, which no image should "
            "have: cut it into parts."
        ) from error
    except UNREADABLE as error:
        raise UserError(unreadable(name)) from error


def _opened(file: str | Path | bytes, name: str) -> IO[bytes]:
    if isinstance(file, bytes):
        return io.BytesIO(file)
    # Opening a pipe or a device would wait for ever.
    mode = os.stat(file).st_mode
    if stat.S_ISDIR(mode):
        raise UserError(f"'{name}' is a folder, and should be an image.")
    if not stat.S_ISREG(mode):
        raise UserError(f"'{name}' is no file, but a pipe, socket or device.")
    return open(file, "rb")


def _read(
    file: IO[bytes],
    name: str,
    place: Place | None = None,
    channels: int | None = None,
    interpolation: str = "bicubic",
) -> tuple[np.ndarray, Placement | None]:
    """Pixels, and their placement if it was needed to decode them."""
    start = _start(file)
    if start.startswith(_TIFF_MAGIC):
        from cnnlab.data.tiff import array_layout, read_tiff  # as in `_inspect`

        layout = array_layout(file, name)
        file.seek(0)
        if layout is not None:
            return _checked(read_tiff(file, name), name), None
    if start.startswith(_NPY_MAGIC):
        pixels = np.load(file, allow_pickle=False)
        _check_npy(pixels, name)
        return _checked(pixels.reshape(*pixels.shape[:2], -1), name), None
    # Pillow would ask five other readers first, which shows where images are small.
    formats = ("PNG",) if start.startswith(_PNG_MAGIC) else None
    with Image.open(file, formats=formats) as image:
        placement = _shrink(image, place) if place and image.format in ("JPEG", "MPO") else None
        image.load()
        if image.info or image.format == "TIFF":  # where the tag would be, which takes time to ask
            ImageOps.exif_transpose(image, in_place=True)
        if placement and placement.cut is None and image.mode == {1: "L", 3: "RGB"}.get(channels):
            # Before it becomes an array, which spares two copies of all its pixels.
            image = resize_plane(image, placement.size, placement.box, interpolation)
            placement = placement._replace(box=(0, 0, *placement.size))
        return _as_pixels(image, name), placement


def _as_pixels(image: Image.Image, name: str) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None]
    if image.mode in ("I", "F"):
        return _checked(np.asarray(image)[..., None], name)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    mode = "L" if image.mode in ("1", "L") else "RGB"
    if image.mode != mode:  # else `convert` copies
        image = image.convert(mode)
    return np.asarray(image).reshape(image.height, image.width, -1)


def _inspect(file: IO[bytes], name: str) -> PixelInfo:
    start = _start(file)
    if start.startswith(_TIFF_MAGIC):
        # tifffile takes longer to import than all else in this module: only where it is needed.
        from cnnlab.data.tiff import array_layout

        layout = array_layout(file, name)
        file.seek(0)
        if layout is not None:
            (height, width, channels), dtype = layout
            return PixelInfo(height, width, channels, _held_as(dtype))
    if start.startswith(_NPY_MAGIC):
        # A file on the disk is mapped, so that only its header is read.
        pixels = (
            np.load(file, allow_pickle=False)
            if isinstance(file, io.BytesIO)
            else np.load(file.name, mmap_mode="r", allow_pickle=False)
        )
        _check_npy(pixels, name)
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        return PixelInfo(*pixels.shape[:2], channels, _held_as(pixels.dtype))
    with Image.open(file) as image:
        (width, height), mode = image.size, image.mode
        # Pillow says the size of a TIFF, and of no other type, as it is once it stands upright.
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5 and image.format != "TIFF"
        dtype = (
            "uint16" if mode.startswith("I;16") else "float32" if mode in ("I", "F") else "uint8"
        )
        gray = mode in ("1", "L", "I", "F") or mode.startswith("I;16")
        gray &= "transparency" not in image.info
    if turned:
        width, height = height, width
    return PixelInfo(height, width, 1 if gray else 3, dtype)


def _shrink(image: Image.Image, place: Place) -> Placement:
    """Lets a JPEG be decoded at a smaller size if the quality suffices.

    At least twice as many pixels as needed remain on each axis, so that the filter still averages.
    A photograph of 1600x1200 is read at 224x224 in half of the time; pixels differ by less than 1
    of 255 on average.

    Returns:
      The placement of the pixels that will be decoded.
    """
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    size = (image.width, image.height) if turned else (image.height, image.width)
    placement = place(size)
    top, left, bottom, right = placement.box
    extents = (bottom - top, right - left)
    least = [
        max(2 * length * needed / extent, 1)
        for length, needed, extent in zip(size, placement.size, extents, strict=True)
    ]
    down, along = map(math.ceil, least)
    image.draft(None, (down, along) if turned else (along, down))
    smaller = (image.width, image.height) if turned else (image.height, image.width)
    return placement if smaller == size else placement.of_smaller(size, smaller)


def _held_as(dtype: str | np.dtype) -> str:
    """The dtype in which pixels of a file's dtype are held."""
    name = str(np.dtype(dtype))
    return "uint8" if name == "bool" else name if name in DTYPES else "float32"


def _checked(pixels: np.ndarray, name: str) -> np.ndarray:
    """Pixels in the dtype in which they are held."""
    pixels = pixels.astype(_held_as(pixels.dtype))
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise UserError(f"'{name}' has pixels that are not finite (NaN or infinity).")
    return pixels


def _check_npy(pixels: np.ndarray, name: str) -> None:
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "buif" or not pixels.size:
        raise UserError(
            f"'{name}' should hold numbers [height, width] or [height, width, channels], and has "
            f"{pixels.dtype} {list(pixels.shape)}."
        )
    if pixels.ndim == 3 and pixels.shape[2] > MAX_CHANNELS:
        raise UserError(
            f"'{name}' has {pixels.shape[2]} channels (its last axis), and at most {MAX_CHANNELS} "
            "are read."
        )


def _start(file: IO[bytes]) -> bytes:
    start = file.read(8)
    file.seek(0)
    return start
