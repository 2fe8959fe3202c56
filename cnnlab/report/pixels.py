"""Kernels, feature maps and heat as small images."""

import numpy as np


def rgb(image: np.ndarray) -> np.ndarray:
    """Converts an image to uint8 [height, width, 3] for display.

    Pixels of other dtypes than uint8 are scaled from the image's smallest to its largest value.
    With two channels the third is black; with more than three, the first three are shown.
    """
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = ((image - low) * (255 / ((high - low) or 1.0))).round().astype(np.uint8)
    if image.shape[-1] == 2:
        image = np.pad(image, ((0, 0), (0, 0), (0, 1)))
    return np.broadcast_to(image[..., :3], (*image.shape[:2], 3))


def signed_image(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Colors values red (positive), white (0) and blue (negative), uint8 [height, width, 3].

    Args:
      values: [height, width].
      limit: absolute value at the end of the color scale; None uses the largest.
    """
    limit = limit or float(np.abs(values).max()) or 1.0
    return _painted("RdBu_r", 0.5 + values / (2 * limit))


def filter_images(kernels: np.ndarray) -> list[np.ndarray]:
    """Draws kernels as images, uint8 [height, width, 3] each, with individual scales.

    Kernels with three channels are in color, with gray for 0; for others, `signed_image` shows
    their mean over channels.

    Args:
      kernels: [filters, height, width, channels].
    """
    if kernels.shape[-1] != 3:
        return [signed_image(kernel.mean(axis=-1)) for kernel in kernels]
    limits = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    shares = 0.5 + kernels / (2 * np.where(limits > 0, limits, 1.0))
    return list((255 * shares).round().astype(np.uint8))


def map_image(values: np.ndarray) -> np.ndarray:
    """Draws a channel of a feature map from its smallest (dark) to its largest (bright) value."""
    low, high = float(values.min()), float(values.max())
    return _painted("viridis", (values - low) / ((high - low) or 1.0))


def heat_overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Overlays an image with heat from blue to red, uint8 RGB.

    Args:
      image: uint8 [height, width, 1 or 3].
      heat: values in [0, 1], [height, width].
    """
    gray = rgb(image).mean(axis=-1, keepdims=True)
    return (0.45 * gray + 0.55 * _painted("turbo", heat)).round().astype(np.uint8)


def magnify(image: np.ndarray, side: int) -> np.ndarray:
    """Repeats pixels until the shorter side has at least `side` pixels."""
    times = max(-(-side // min(image.shape[:2])), 1)
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _painted(name: str, shares: np.ndarray) -> np.ndarray:
    import matplotlib as mpl  # slow; what only needs `rgb` starts without it

    return mpl.colormaps[name](np.clip(shares, 0.0, 1.0), bytes=True)[..., :3]
