"""Statistics of a split: mean and deviation of pixels, their values, and class counts."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from cnnlab.data.geometry.image_source import ImageSource
from cnnlab.data.source import IGNORE, ArraySource, Source

# A stream is not read twice over: this many examples, always the same, speak for it.
_SAMPLE = 2048


def channel_statistics(
    source: Source, value_range: tuple[float, float] = (0.0, 255.0), *, clip: bool = False
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per-channel mean and standard deviation of pixels mapped to [0, 1] by a range.

    Exact for sources in memory; for others from a fixed sample of 2,048 examples.

    Args:
      source: source of the training split.
      value_range: pixel values that are mapped to 0 and 1.
      clip: whether pixels beyond the range are clipped first.
    """
    low, high = value_range
    count, total, squares = 0, 0.0, 0.0
    for chunk in _chunks(source):
        pixels = chunk.reshape(-1, chunk.shape[-1])
        count += len(pixels)
        if pixels.dtype.kind == "u" and not clip:
            # Sums of integers are exact, whatever the size of the set.
            pixels = pixels.astype(np.int64)
        else:
            pixels = pixels.astype(np.float64)
            pixels = pixels.clip(low, high) if clip else pixels
        total = total + pixels.sum(axis=0)
        squares = squares + np.square(pixels).sum(axis=0)
    mean = total / count
    variance = squares / count - mean**2
    scale = high - low
    std = np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), scale)
    return tuple(((mean - low) / scale).tolist()), tuple((std / scale).tolist())


def value_range(source: Source) -> tuple[float, float]:
    """Returns the values that are mapped to 0 and 1: 0 and 255 for uint8, else the extremes.

    For sources that are not in memory, the extremes of a fixed sample of 2,048 examples.
    """
    chunks = _chunks(source)
    first = next(chunks)
    if first.dtype == np.uint8:
        return 0.0, 255.0
    low, high = first.min(), first.max()
    for chunk in chunks:
        low, high = min(low, chunk.min()), max(high, chunk.max())
    return float(low), float(high) if high > low else float(low) + 1.0


def _chunks(source: Source) -> Iterator[np.ndarray]:
    """Batches of images, [batch, height, width, channels]."""
    if isinstance(source, ArraySource):
        yield from (source.images[i : i + _SAMPLE] for i in range(0, len(source), _SAMPLE))
    else:
        yield from (_pixels(source, int(i))[None] for i in _sample(source))


def _pixels(source: Source, index: int) -> np.ndarray:
    """The whole image of an example, also if evaluation uses windows."""
    if isinstance(source, ImageSource) and source.maps:
        return source.native(index)[0]
    return source[index]["image"]


def _sample(source: Source) -> np.ndarray:
    """Indices of the sample that represents a split that is not in memory."""
    return np.random.default_rng(0).permutation(len(source))[:_SAMPLE]


def observed_values(source: Source) -> dict[str, float]:
    """Smallest and largest pixel value and number of distinct values of at most 2,048 images."""
    if isinstance(source, ArraySource):
        sample = [source.images[:_SAMPLE]]
    else:
        sample = (_pixels(source, int(i)) for i in _sample(source))
    values = np.unique(np.concatenate([np.unique(pixels) for pixels in sample]))
    return {"min": values[0].item(), "max": values[-1].item(), "levels": len(values)}


class ClassCounts(NamedTuple):
    """Counts of the classes in a split.

    Attributes:
      of_classes: number of examples (pixels for label maps, positives for multi-hot labels) of each
        class.
      ignored: number of ignored pixels of label maps; None for other labels.
    """

    of_classes: list[int]
    ignored: int | None


def class_counts(source: Source, num_classes: int) -> ClassCounts | None:
    """Counts the labels of a split; returns None if they are known only after decoding."""
    labels = getattr(source, "labels", None)
    if isinstance(source, ImageSource) and source.maps and source.is_held:
        labels = [source.native(index)[1] for index in range(len(source))]
        return _pixel_counts(labels, num_classes)
    if labels is None:
        return None
    if labels.ndim == 1:
        return ClassCounts(np.bincount(labels, minlength=num_classes).tolist(), None)
    if labels.ndim == 2:
        return ClassCounts(labels.sum(axis=0).tolist(), None)
    return _pixel_counts(labels, num_classes)


def _pixel_counts(labels: Iterable[np.ndarray], num_classes: int) -> ClassCounts:
    counts = sum(np.bincount(one.ravel(), minlength=IGNORE + 1) for one in labels)
    return ClassCounts(counts[:num_classes].tolist(), int(counts[IGNORE]))
