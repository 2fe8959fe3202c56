"""Corrupted images of increasing severity: shifted, noisy, blurred, low in contrast."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cnnlab.data import IGNORE, Source
from cnnlab.data.source import Example
from cnnlab.errors import UserError, did_you_mean


class Corruption(NamedTuple):
    """A kind of corruption.

    Attributes:
      meaning: meaning of the severities, with their unit.
      severities: increasing severities; the first changes nothing.
      apply: maps (pixels in [0, 255], float64 [height, width, channels]; severity; generator of
        random numbers) to pixels.
    """

    meaning: str
    severities: tuple[float, ...]
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def shift(images: np.ndarray, rows: int, columns: int, fill: float | None = None) -> np.ndarray:
    """Shifts images down and to the right; pixels that leave them are lost.

    Args:
      images: [..., height, width, channels].
      rows: shift in pixels, downwards if positive.
      columns: shift in pixels, to the right if positive.
      fill: value of the pixels that enter. None uses the median of each image's border per
        channel, which is the background of most images.
    """
    height, width = images.shape[-3:-1]
    moved = np.empty_like(images)
    if fill is None:
        border = np.concatenate(
            [images[..., 0, :, :], images[..., -1, :, :], images[..., :, 0, :], images[..., -1, :]],
            axis=-2,
        )
        moved[...] = np.median(border, axis=-2)[..., None, None, :]
    else:
        moved[...] = fill
    inside = (abs(rows) < height) and (abs(columns) < width)
    if inside:
        to = [slice(max(step, 0), size + min(step, 0))
              for step, size in ((rows, height), (columns, width))]  # fmt: skip
        of = [slice(max(-step, 0), size - max(step, 0))
              for step, size in ((rows, height), (columns, width))]  # fmt: skip
        moved[..., to[0], to[1], :] = images[..., of[0], of[1], :]
    return moved


def _step(shape: tuple[int, ...], severity: float, rng: np.random.Generator) -> tuple[int, int]:
    """Rows and columns of a shift in a random direction, by a share of the shorter side."""
    angle, distance = rng.uniform(0, 2 * np.pi), severity * min(shape[:2])
    return round(distance * np.sin(angle)), round(distance * np.cos(angle))


def _shifted(pixels: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    return shift(pixels, *_step(pixels.shape, severity, rng))


def _noisy(pixels: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    return pixels + rng.normal(0.0, 255 * severity, pixels.shape) if severity else pixels


def _blurred(pixels: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    sigma = severity * min(pixels.shape[:2])
    return ndimage.gaussian_filter(pixels, (sigma, sigma, 0.0), mode="nearest")


def _faint(pixels: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return mean + (1.0 - severity) * (pixels - mean)


CORRUPTIONS = {
    "shift": Corruption("distance, share of the shorter side", (0.0, 0.04, 0.08, 0.12, 0.16, 0.2),
                        _shifted),
    "noise": Corruption("standard deviation, share of white", (0.0, 0.04, 0.08, 0.16, 0.24, 0.32),
                        _noisy),
    "blur": Corruption("standard deviation, share of the shorter side",
                       (0.0, 0.01, 0.02, 0.04, 0.06, 0.08), _blurred),
    "contrast": Corruption("share of the contrast that is lost", (0.0, 0.3, 0.5, 0.7, 0.8, 0.9),
                           _faint),
}  # fmt: skip


class Corrupted:
    """A source of corrupted examples; label maps are shifted with their images.

    Pixels that enter a label map are ignored. Each example is the same at every reading, and its
    random draws are the same for all severities.

    Attributes:
      source: source of the original examples.
      kind: name from `CORRUPTIONS`.
      severity: severity, in the unit of that kind.
      seed: seed of the random draws.
    """

    def __init__(self, source: Source, kind: str, severity: float, seed: int = 0):
        if kind not in CORRUPTIONS:
            raise UserError(f"There is no corruption '{kind}'.{did_you_mean(kind, CORRUPTIONS)}")
        self.source, self.kind, self.severity, self.seed = source, kind, severity, seed

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        example = self.source[index]
        image, label = example["image"], example["label"]
        if image.dtype != np.uint8:
            raise UserError(
                f"Corruptions are defined for 8-bit images, and these have {image.dtype} pixels."
            )
        worse = CORRUPTIONS[self.kind].apply(
            image.astype(np.float64), self.severity, self._rng(index)
        )
        if self.kind == "shift" and np.ndim(label):
            step = _step(image.shape, self.severity, self._rng(index))
            label = shift(label[..., None], *step, fill=IGNORE)[..., 0]
        return {"image": worse.clip(0, 255).round().astype(np.uint8), "label": label}

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, index))
