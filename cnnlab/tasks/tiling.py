"""Sliding windows: per-pixel predictions for images of any size, in bounded memory.

The overlap-tile strategy of U-Net (Ronneberger et al. 2015, arXiv:1505.04597, sec. 2), with tiles
that are blended: near its inner edges a tile sees less of the image than the whole image shows, so
its weight falls to zero there. Only where the image ends does a tile keep its full weight.

A network without padding needs the pixels around a tile too. Beyond the image its mirror goes on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from cnnlab.errors import UserError

Predict = Callable[[np.ndarray], np.ndarray]


def predict_tiled(
    predict: Predict,
    image: np.ndarray,
    *,
    tile: int,
    overlap: int,
    margin: int = 0,
    multiple: int = 32,
    batch_size: int = 4,
    border: int = 0,
    extent: int | None = None,
) -> Iterator[np.ndarray]:
    """Yields the blended predictions of an image in bands of rows, float32 [rows, width, classes].

    Bands come from top to bottom and together have the image's height. With a margin of at least
    the radius of the network's receptive field they are what `predict(image[None])[0]` gives, up
    to rounding; near the right and the lower border only if width and height are multiples of
    `multiple` and no less than a tile, since otherwise the image is mirrored there. A network that
    looks at the whole image (a global pooling, attention) has no such radius.

    Memory, whatever the height: 4 classes ((tile + 2 step) width + (batch_size + 1) tile²) bytes
    for the sums, two bands (a loop holds one while the next is made) and the predictions of the
    tiles, where step <= tile - overlap is the distance of tiles; twice the pixels of `batch_size`
    tiles; and what `predict` itself needs.

    Args:
      predict: maps images [batch, extent, extent, channels] to probabilities or logits [batch,
        tile, tile, classes]; it is called with this one shape, so it compiles once.
      image: [height, width, channels]; it is read tile by tile, so it may be mapped from a file.
      tile: side of a tile in pixels, a multiple of `multiple`.
      overlap: pixels that neighbouring tiles share at least.
      margin: pixels at an inner edge of a tile that count for nothing; two fit into the overlap.
      multiple: positions of tiles are multiples of it. The largest stride of the network: then its
        poolings see the same groups of pixels as in the whole image.
      batch_size: most tiles to predict at once.
      border: pixels above and left of a tile that `predict` is given beside it.
      extent: side of what it is given; the tile's where unset. It may then predict more than the
        tile, below and right of it.

    Raises:
      UserError: a tile, overlap or margin that cannot be; while running, predictions of a size
        that is not the tile's.
    """
    _check(image, tile, overlap, margin, multiple)
    step = (tile - overlap) // multiple * multiple
    tops, lefts = (_positions(size, tile, step, multiple) for size in image.shape[:2])
    extent = tile if extent is None else extent
    return _bands(predict, image, tile, tops, lefts, margin, batch_size, border, extent)


def predict_mirrored(
    predict: Predict, images: np.ndarray, *, border: int, extents: Sequence[int]
) -> np.ndarray:
    """Predictions of whole images by a network without padding, which is given their mirror too.

    Args:
      predict: maps images [batch, *extents, channels] to predictions that begin `border` pixels
        from the top and the left.
      images: [batch, height, width, channels].
      border: see there.
      extents: height and width that yield predictions of at least the images' size.

    Returns:
      [batch, height, width, classes].
    """
    height, width = images.shape[1:3]
    rows, columns = (
        _mirrored(-border, extent, size)
        for extent, size in zip(extents, (height, width), strict=True)
    )
    return np.asarray(predict(images[:, rows][:, :, columns]))[:, :height, :width]


def class_map(bands: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The class of the largest value at every pixel, uint8 [height, width].

    Args:
      bands: predictions [rows, width, classes] from top to bottom, of at most 255 classes.
      shape: height and width of all bands together.
    """
    labels, top = np.empty(shape, np.uint8), 0
    for band in bands:
        labels[top : top + len(band)] = band.argmax(-1)
        top += len(band)
    return labels


def _check(image: np.ndarray, tile: int, overlap: int, margin: int, multiple: int) -> None:
    if image.ndim != 3 or 0 in image.shape:
        raise UserError(f"An image must be [height, width, channels], got shape {image.shape}.")
    if tile < 1 or tile % multiple:
        nearest = max(round(tile / multiple), 1) * multiple
        raise UserError(
            f"A tile of {tile} pixels must be a multiple of {multiple}, the largest stride of the "
            f"network: take {nearest}."
        )
    if not 0 <= overlap <= tile - multiple:
        raise UserError(
            f"An overlap of {overlap} pixels must be from 0 to {tile - multiple}: it leaves less "
            f"of a tile of {tile} than the {multiple} by which tiles advance at least."
        )
    if not 0 <= margin <= overlap // 2:
        raise UserError(
            f"A margin of {margin} pixels must be from 0 to {overlap // 2}, half the overlap: "
            "with wider ones, pixels between two tiles would belong to neither."
        )


def _bands(
    predict: Predict,
    image: np.ndarray,
    tile: int,
    tops: list[int],
    lefts: list[int],
    margin: int,
    batch_size: int,
    border: int,
    extent: int,
) -> Iterator[np.ndarray]:
    height, width = image.shape[:2]
    row_weights, column_weights = (_weights(starts, tile, margin) for starts in (tops, lefts))
    # The fewest batches and, of these, the smallest: the last one is filled up with copies.
    size = -(-len(lefts) // -(-len(lefts) // batch_size))
    sums = None
    for top, next_top, weights in zip(tops, [*tops[1:], height], row_weights, strict=True):
        rows = _mirrored(top - border, extent, height)
        for first in range(0, len(lefts), size):
            starts = lefts[first : first + size]
            columns = [_mirrored(left - border, extent, width) for left in starts]
            tiles = [_read(image, rows, across) for across in columns]
            tiles += [tiles[-1]] * (size - len(tiles))
            predictions = np.asarray(predict(np.stack(tiles)))
            if extent > tile:
                predictions = predictions[:, :tile, :tile]
            if predictions.shape[:3] != (size, tile, tile):
                raise UserError(
                    f"Tiles of {tile}x{tile} pixels were given predictions of shape "
                    f"{predictions.shape}: tiling needs a network that keeps the size of images."
                )
            if sums is None:
                sums = np.zeros((tile, lefts[-1] + tile, predictions.shape[-1]), np.float32)
            for number, left in enumerate(starts, start=first):
                both = np.outer(weights, column_weights[number])[:, :, None]
                sums[:, left : left + tile] += predictions[number - first] * both
        finished = next_top - top
        yield sums[:finished, :width].copy()
        # Row by row, because NumPy copies the whole of what it moves within itself.
        for row in range(finished, tile):
            sums[row - finished] = sums[row]
        sums[max(tile - finished, 0) :] = 0.0


def _positions(size: int, tile: int, step: int, multiple: int) -> list[int]:
    """Where tiles start that cover `size` pixels; the last one moves no further than it must."""
    last = max(-(-(size - tile) // multiple), 0) * multiple
    return [*range(0, last, step), last]


def _weights(starts: list[int], tile: int, margin: int) -> np.ndarray:
    """Weights [tiles, tile] along one axis, which at every pixel of the image sum to 1."""
    weights = np.ones((len(starts), tile))
    distances = np.arange(tile) + 0.5 - margin
    for left in range(len(starts) - 1):
        shared = starts[left] + tile - starts[left + 1]
        ramp = (distances / max(shared - 2 * margin, 1)).clip(0.0, 1.0)
        weights[left] *= ramp[::-1]
        weights[left + 1] *= ramp
    # Where more than two tiles meet, in a wide overlap, their ramps do not sum to 1.
    total = np.zeros(starts[-1] + tile)
    for start, one in zip(starts, weights, strict=True):
        total[start : start + tile] += one
    for start, one in zip(starts, weights, strict=True):
        one /= total[start : start + tile]
    return weights.astype(np.float32)


def _mirrored(start: int, length: int, size: int) -> np.ndarray:
    """Positions from `start` on along an axis that is mirrored about its first and last pixel."""
    period = max(2 * (size - 1), 1)
    positions = np.arange(start, start + length) % period
    return np.minimum(positions, period - positions) if size > 1 else positions


def _read(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    top, left = rows.min(), columns.min()
    block = np.asarray(image[top : rows.max() + 1, left : columns.max() + 1])
    return block[np.ix_(rows - top, columns - left)]
