"""Numbers as pixels: kernels, feature maps and heat as small images."""

import matplotlib as mpl
import numpy as np


def rgb(image: np.ndarray) -> np.ndarray:
    """An image uint8 [height, width, 1 or 3] as [height, width, 3]."""
    return np.broadcast_to(image, (*image.shape[:2], 3))


def signed_image(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Values around 0 in red (positive), white (0) and blue, uint8 [height, width, 3].

    Args:
      values: [height, width].
      limit: the size that has the full colour; None takes the largest size there is.
    """
    limit = limit or float(np.abs(values).max()) or 1.0
    return _painted("RdBu_r", 0.5 + values / (2 * limit))


def filter_images(kernels: np.ndarray) -> list[np.ndarray]:
    """Kernels as images, uint8 [height, width, 3] each, every one with a scale of its own.

    Of three channels they are coloured, with gray for 0; else their mean over channels is shown by
    `signed_image`.

    Args:
      kernels: [filters, height, width, channels].
    """
    if kernels.shape[-1] != 3:
        return [signed_image(kernel.mean(axis=-1)) for kernel in kernels]
    limits = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    shares = 0.5 + kernels / (2 * np.where(limits > 0, limits, 1.0))
    return list((255 * shares).round().astype(np.uint8))


def map_image(values: np.ndarray) -> np.ndarray:
    """One channel of a feature map from its least (dark) to its largest (bright) value, as RGB."""
    low, high = float(values.min()), float(values.max())
    return _painted("viridis", (values - low) / ((high - low) or 1.0))


def heat_overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lays heat, from blue to red, over an image that still shows through: uint8 RGB.

    Args:
      image: uint8 [height, width, 1 or 3].
      heat: in [0, 1], of the image's size.
    """
    gray = rgb(image).mean(axis=-1, keepdims=True)
    return (0.45 * gray + 0.55 * _painted("turbo", heat)).round().astype(np.uint8)


def magnify(image: np.ndarray, side: int) -> np.ndarray:
    """Repeats pixels until the shorter side is at least that long."""
    times = max(-(-side // min(image.shape[:2])), 1)
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _painted(name: str, shares: np.ndarray) -> np.ndarray:
    return mpl.colormaps[name](np.clip(shares, 0.0, 1.0), bytes=True)[..., :3]
