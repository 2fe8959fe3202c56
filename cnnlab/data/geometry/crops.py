"""Random crops of whole images for training, as they are read."""

import dataclasses
import math

import numpy as np

from cnnlab.config.augment import AugmentConfig
from cnnlab.data.geometry.placement import Geometry, Placement, Size, place_window

_TRIES = 10
# Keeps these draws apart from those of the order of examples.
_STREAM = 3


def crop_rng(seed: int, step: int, example: int) -> np.random.Generator:
    """Returns the random generator of one example in one step of a run."""
    key = np.random.SeedSequence([seed, step, example, _STREAM])
    return np.random.Generator(np.random.Philox(key))


@dataclasses.dataclass(frozen=True)
class TrainCrop:
    """Random crop of a training image from an image of any size.

    With `scale`, it is a random area of a random shape, resized: `RandomResizedCrop` of torchvision
    (Szegedy et al. 2015, arXiv:1409.4842, sec. 6). Without, it is a window at a random place of the
    image, after scaling as for evaluation but without its crop.

    Attributes:
      frame: height and width of the result.
      scale: smallest and largest area as a share of the image, or None.
      ratio: smallest and largest width / height, drawn uniformly in the logarithm.
      pad: pixels by which a window may extend beyond the image.
      fill: value of pixels outside of the image; None mirrors it.
    """

    frame: Size
    scale: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    pad: int = 0
    fill: float | None = None

    def draw(self, rng: np.random.Generator, size: Size, geometry: Geometry) -> Placement:
        """Draws the placement of an image of height and width `size`."""
        if self.scale is not None:
            return Placement(self._box(rng, size), self.frame, (0, 0), self.frame)
        scaled = geometry.scaled_size(size, self.frame)
        corner = []
        for length, side in zip(scaled, self.frame, strict=True):
            low, high = sorted((-self.pad, length - side + self.pad))
            corner.append(int(rng.integers(low, high + 1)))
        return place_window(size, scaled, (corner[0], corner[1]), self.frame, self.fill)

    def _box(self, rng: np.random.Generator, size: Size) -> tuple[float, float, float, float]:
        height, width = size
        for _ in range(_TRIES):
            area = height * width * rng.uniform(*self.scale)
            aspect = math.exp(rng.uniform(*map(math.log, self.ratio)))
            rows, columns = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < rows <= height and 0 < columns <= width:
                top = int(rng.integers(0, height - rows + 1))
                left = int(rng.integers(0, width - columns + 1))
                return top, left, top + rows, left + columns
        # No shape fits: the largest of the nearest shape that does, at the center.
        low, high = self.ratio
        rows = min(height, max(round(width / low), 1))
        columns = min(width, max(round(height * high), 1))
        top, left = (height - rows) // 2, (width - columns) // 2
        return top, left, top + rows, left + columns


def train_crop(augment: AugmentConfig, frame: Size, *, lowest: float = 0.0) -> TrainCrop:
    """Returns the crop of an augmentation config; by default a window anywhere in the image.

    Args:
      augment: config with `random_resized_crop`, `pad_crop` and their options.
      frame: height and width of training images.
      lowest: pixel value that is mapped to 0, used for the border of `pad_mode=zero`.
    """
    if augment.random_resized_crop:
        return TrainCrop(frame, tuple(augment.crop_scale), tuple(augment.crop_ratio))
    fill = lowest if augment.pad_crop and augment.pad_mode == "zero" else None
    return TrainCrop(frame, pad=augment.pad_crop, fill=fill)
