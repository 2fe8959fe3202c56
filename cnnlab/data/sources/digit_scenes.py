"""The embedded default of segmentation: scenes of real handwritten digits over clutter.

Each scene is a pure function of (seed, split, index). Its digits are those of
`cnnlab.data.sources.digits`: training scenes use only that set's training digits, test scenes only
its test digits, so a network is tested on handwriting that it has not seen. Scenes are defined
independently of pixels: larger ones look the same with more detail.
"""

import functools
import hashlib
import math
from collections.abc import Sequence

import numpy as np

from cnnlab.data.cache import MAX_BYTES, cached
from cnnlab.data.source import ArraySource, Example, Source
from cnnlab.data.sources import digits

CLASS_NAMES = ("background", *digits.CLASS_NAMES)
DEFAULT_SIZE = 64
NUM_SCENES = {"train": 2_000, "test": 500}

# Of the digits and their places, as shares of the side of the scene.
_MOST_DIGITS = 5
_HEIGHTS = (0.28, 0.46)
_ASPECTS = (0.9, 1.2)
_LARGEST_ANGLE = math.radians(20.0)
# A digit may be covered by later ones up to this share of its pixels; places are drawn again, up to
# so many times, until that holds.
_MOST_COVERED = 0.1
_MOST_TRIES = 25
# Levels of the interpolated 8x8 digits, in [0, 1], at which the stroke and its dark rim end.
_STROKE_LEVEL, _RIM_LEVEL = 0.42, 0.12


class SceneSource:
    """Scenes of one split, drawn on demand."""

    def __init__(self, split: str, indices: Sequence[int], size: int):
        self._split, self._indices, self._size = split, indices, size

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Example:
        image, label = render(self._split, int(self._indices[index]), size=self._size)
        return {"image": image, "label": label}

    def decode(self) -> ArraySource:
        """Returns all scenes in memory."""
        images = np.empty((len(self), self._size, self._size, 1), np.uint8)
        labels = np.empty(images.shape[:3], np.uint8)
        for index in range(len(self)):
            example = self[index]
            images[index], labels[index] = example["image"], example["label"]
        return ArraySource(images, labels)


def load_splits(image_size: int | None) -> dict[str, Source]:
    """Returns 2,000 training and 500 test scenes, drawn at `image_size`, 64 by default."""
    size = image_size or DEFAULT_SIZE
    sources = {split: SceneSource(split, range(n), size) for split, n in NUM_SCENES.items()}
    if sum(NUM_SCENES.values()) * size * size * 2 > MAX_BYTES:
        return dict(sources)
    # The first scene speaks for how scenes are drawn: another way gets another place in the cache.
    first = hashlib.sha256(render("train", 0, size=size)[0]).hexdigest()
    key = f"digit_scenes {first} {size} {sorted(NUM_SCENES.items())}"
    return dict(cached(key, lambda: {split: s.decode() for split, s in sources.items()}))


def render(
    split: str, index: int, *, size: int = DEFAULT_SIZE, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draws one scene.

    Up to five bright digits with a thin dark rim, later ones over earlier ones, on a dark
    background of gradients, soft blobs, hatching and thin lines, with noise over all.

    Args:
      split: `train` or `test`, whose digits are used.
      index: index of the scene.
      size: height and width in pixels.
      seed: seed of the scenes.

    Returns:
      The image, uint8 [size, size, 1], and the label of each pixel, uint8 [size, size]: 0 for the
      background, 1 + d for a stroke of the digit d.
    """
    rng = np.random.Generator(np.random.Philox([seed, sorted(NUM_SCENES).index(split), index]))
    image = _clutter(rng, size)
    # The digit that each pixel belongs to, by its number in the scene plus 1; 0 is background.
    owner = np.zeros((size, size), np.uint8)
    classes, areas = [0], np.zeros(1)
    for _ in range(rng.integers(2, _MOST_DIGITS + 1)):
        digit, ink, rim = _draw_digit(rng, split, size)
        # How many pixels each digit can spare; the background, all.
        spare = np.bincount(owner.ravel(), minlength=len(areas)) - (1.0 - _MOST_COVERED) * areas
        for place in rng.uniform(size=(_MOST_TRIES, 2)):
            box = _box(place, rim.shape, size)
            covered = np.bincount(owner[box][rim > 0.5], minlength=len(areas))
            if np.all(covered <= spare):
                break
        else:
            continue  # no room left
        owner[box][rim > 0.5] = 0
        owner[box][ink > 0.5] = len(classes)
        classes.append(digit + 1)
        areas = np.append(areas, np.count_nonzero(ink > 0.5))
        image[box] *= 1.0 - 0.85 * rim
        image[box] += ink * (rng.uniform(0.65, 1.0) - image[box])
    image += 0.025 * rng.standard_normal(image.shape, np.float32)
    pixels = (image.clip(0.0, 1.0) * 255.0).round().astype(np.uint8)
    return pixels[:, :, None], np.array(classes, np.uint8)[owner]


@functools.cache
def _glyphs(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of cubic splines through a split's digits, and their labels."""
    from scipy import ndimage  # slow to import, and every command knows this data set

    source = digits.load_splits(image_size=8)[split]
    # Room around them: the strokes of many go up to the edge, and must end there smoothly.
    padded = np.pad(source.images[..., 0] / 255.0, ((0, 0), (2, 2), (2, 2)))
    return np.stack([ndimage.spline_filter(image) for image in padded]), source.labels


def _draw_digit(
    rng: np.random.Generator, split: str, size: int
) -> tuple[int, np.ndarray, np.ndarray]:
    """Draws a digit of random size, shape and angle in a box that just contains it.

    Returns:
      The digit, and in its box the opacity, in [0, 1], of its stroke and of its stroke with rim.
    """
    from scipy import ndimage  # as in `_glyphs`

    splines, labels = _glyphs(split)
    number = rng.integers(len(labels))
    angle = rng.uniform(-_LARGEST_ANGLE, _LARGEST_ANGLE)
    height = rng.uniform(*_HEIGHTS)
    width = height / rng.uniform(*_ASPECTS)
    cos, sin = math.cos(angle), math.sin(angle)
    # The box around the turned digit, and some room for the rim.
    rows, columns = (
        _grid(max(1, round(1.12 * size * extent))) * extent * 1.12 - extent * 0.56
        for extent in (height * cos + width * abs(sin), width * cos + height * abs(sin))
    )
    rows, columns = rows[:, None], columns[None, :]
    # Pixel centers of the padded 12x12 digit, of which the middle 8x8 span height and width.
    y = (cos * rows + sin * columns) * (8.0 / height) + 5.5
    x = (cos * columns - sin * rows) * (8.0 / width) + 5.5
    level = ndimage.map_coordinates(splines[number], np.stack([y, x]), prefilter=False)
    # Edges about a pixel wide, as levels change by about one from one of the 8x8 to the next, but
    # nowhere so wide that level 0 has an opacity.
    ink, rim = (
        (0.5 + max(height * size / 8.0, 0.5 / edge) * (level - edge)).clip(0.0, 1.0)
        for edge in (_STROKE_LEVEL, _RIM_LEVEL)
    )
    return int(labels[number]), ink, rim


def _box(place: np.ndarray, shape: tuple[int, int], size: int) -> tuple[slice, slice]:
    """A box of this shape; `place`, in [0, 1], is its position in the scene."""
    top, left = (round(p * (size - extent)) for p, extent in zip(place, shape, strict=True))
    return slice(top, top + shape[0]), slice(left, left + shape[1])


def _grid(count: int) -> np.ndarray:
    """Centers of `count` pixels, in [0, 1]."""
    return (np.arange(count, dtype=np.float32) + 0.5) / count


def _clutter(rng: np.random.Generator, size: int) -> np.ndarray:
    """The background of the digits, in [0, 1], [size, size]."""
    y, x = _grid(size)[:, None], _grid(size)[None, :]
    slopes = rng.uniform(-0.25, 0.25, 2)
    image = rng.uniform(0.1, 0.35) + slopes[0] * (y - 0.5) + slopes[1] * (x - 0.5)
    for _ in range(rng.integers(2, 6)):
        image += _blob(rng, y, x) * rng.uniform(-0.2, 0.3)
    for _ in range(rng.integers(0, 3)):
        stripes = _across(rng, y, x) * rng.uniform(60.0, 110.0)
        image += _blob(rng, y, x) * np.sin(stripes) * rng.uniform(0.1, 0.2)
    for _ in range(rng.integers(2, 6)):
        # A straight line across the scene, opaque within half of its width.
        distance = np.abs(_across(rng, y, x))
        half = rng.uniform(0.004, 0.01)
        opacity = (0.5 + (half - distance) * size).clip(0.0, 1.0)
        image += opacity * (rng.uniform(0.3, 0.75) - image)
    return image.clip(0.0, 0.75)


def _blob(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A soft spot of height 1 anywhere in the scene."""
    (row, column), radii = rng.uniform(0.0, 1.0, 2), rng.uniform(0.08, 0.3, 2)
    return np.exp(-(((y - row) / radii[0]) ** 2)) * np.exp(-(((x - column) / radii[1]) ** 2))


def _across(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Signed distance to a straight line through a random point in a random direction."""
    angle, (row, column) = rng.uniform(0.0, math.pi), rng.uniform(0.0, 1.0, 2)
    return math.cos(angle) * (y - row) + math.sin(angle) * (x - column)
