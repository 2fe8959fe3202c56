"""Colors of classes that differ clearly, also with color blindness."""

import functools

import numpy as np
from skimage.color import rgb2lab

IGNORE = 255
_IGNORED_COLOR = (224, 224, 224)
_BACKGROUND = (0, 0, 0)
# Okabe & Ito's, in an order in which neighbours differ most; further colours are searched.
_FIRST = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)

# Linear RGB as it is seen without red or green cones: Machado et al. 2009, "A physiologically-based
# model for simulation of color vision deficiency", severity 1.
_PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
               (-0.003882, -0.048116, 1.051998))  # fmt: skip
_DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
                 (-0.011820, 0.042940, 0.968881))  # fmt: skip

# Most see all colours, and so much more difference: they are given the larger part of it.
_WEIGHTS = np.array([0.5, 1.0, 1.0])


@functools.cache
def _colors() -> np.ndarray:
    """256 colors: black, seven given ones, then each as far as possible from all before.

    The distance in CIELAB is the smallest over three kinds of color vision.
    """
    levels = np.linspace(0, 255, 12).round().astype(np.uint8)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    # Neither near black nor pale: both are lost when they are blended with an image.
    light, red, blue = rgb2lab(candidates / 255.0).T
    candidates = candidates[(light > 30) & (light < 90) & (np.hypot(red, blue) > 25)]
    chosen = [_BACKGROUND, *_FIRST]
    seen = _as_seen(np.concatenate([[_IGNORED_COLOR], chosen, candidates]).astype(np.uint8))
    fixed, free = seen[:, : 1 + len(chosen)], seen[:, 1 + len(chosen) :]
    nearest = np.full(len(candidates), np.inf)
    for color in range(fixed.shape[1]):
        nearest = np.minimum(nearest, _distance(free, fixed[:, color]))
    while len(chosen) < 256:
        best = int(nearest.argmax())
        chosen.append(tuple(int(value) for value in candidates[best]))
        nearest = np.minimum(nearest, _distance(free, free[:, best]))
    return np.array(chosen, np.uint8)


def _as_seen(colors: np.ndarray) -> np.ndarray:
    """CIELAB of uint8 colors [n, 3] for full vision, protanopia and deuteranopia, [3, n, 3]."""
    srgb = colors / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    kinds = np.stack([linear @ np.transpose(m) for m in (np.eye(3), _PROTANOPIA, _DEUTERANOPIA)])
    kinds = kinds.clip(0.0, 1.0)
    return rgb2lab(np.where(kinds <= 0.0031308, 12.92 * kinds, 1.055 * kinds ** (1 / 2.4) - 0.055))


def _distance(many: np.ndarray, one: np.ndarray) -> np.ndarray:
    return (np.linalg.norm(many - one[:, None], axis=-1) * _WEIGHTS[:, None]).min(axis=0)


def make_palette(background: int | None = 0) -> np.ndarray:
    """Returns colors of classes 0 to 254, and light gray for 255 (ignored), uint8 [256, 3].

    Args:
      background: the class that is black; None if there is none.
    """
    colors = _colors()
    palette = np.empty((256, 3), np.uint8)
    palette[:IGNORE] = np.insert(colors[1:IGNORE], background or 0, _BACKGROUND, axis=0)
    if background is None:
        palette[:IGNORE] = colors[1:]
    palette[IGNORE] = _IGNORED_COLOR
    return palette
