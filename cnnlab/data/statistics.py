"""Mean and standard deviation per channel, which images are normalised with."""

import numpy as np

from cnnlab.data.source import ArraySource, Source

# A stream is not read twice over: this many examples, always the same, speak for it.
_SAMPLE = 2048


def channel_statistics(source: Source) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixels in [0, 1], per channel.

    Exact for sources in memory; for others from a fixed sample of 2,048 examples.
    """
    if isinstance(source, ArraySource):
        chunks = (source.images[i : i + _SAMPLE] for i in range(0, len(source), _SAMPLE))
    else:
        numbers = np.random.default_rng(0).permutation(len(source))[:_SAMPLE]
        chunks = (source[int(i)]["image"][None] for i in numbers)
    count, total, squares = 0, 0.0, 0.0
    for chunk in chunks:
        # Integer sums of bytes are exact, whatever the size of the set.
        pixels = chunk.reshape(-1, chunk.shape[-1]).astype(np.int64)
        count += len(pixels)
        total = total + pixels.sum(axis=0)
        squares = squares + np.square(pixels).sum(axis=0)
    mean = total / count
    variance = squares / count - mean**2
    std = np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), 255.0)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
