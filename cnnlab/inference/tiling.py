"""Sliding windows: per-pixel predictions for images of any size, in bounded memory.

The overlap-tile strategy of U-Net (Ronneberger et al. 2015, arXiv:1505.04597, sec. 2), with blended
tiles: near its inner edges a tile lacks context, so its weight falls to zero there. At the edges of
the image a tile keeps its full weight.

A network without padding also gets the pixels around a tile, mirrored beyond the image.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from cnnlab.data.geometry.placement import mirrored
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

    Bands are ordered from top to bottom and add up to the image's height. If the margin is at least
    the radius of the network's receptive field, they equal `predict(image[None])[0]` up to
    rounding; near the right and lower border only if width and height are multiples of `multiple`
    and at least a tile, since the image is mirrored there otherwise. Networks with global pooling
    or attention have no such radius.

    Memory, independent of the height: 4 classes ((tile + 2 step) width + (batch_size + 1) tile²)
    bytes for the sums, two bands (a loop holds one while the next is computed) and the predictions
    of the tiles, where step <= tile - overlap is the distance between tiles; twice the pixels of
    `batch_size` tiles; and the memory of `predict`.

    Args:
      predict: maps images [batch, extent, extent, channels] to probabilities or logits [batch,
        tile, tile, classes]; it is called with this shape only, so it compiles once.
      image: [height, width, channels]; it is read tile by tile and may be a memory map.
      tile: side of a tile in pixels, a multiple of `multiple`.
      overlap: least number of pixels that neighbouring tiles share.
      margin: pixels discarded at each inner edge of a tile; at most half the overlap.
      multiple: tiles start at multiples of this number. With the network's largest stride, its
        poolings cover the same groups of pixels as in the whole image.
      batch_size: largest number of tiles predicted at once.
      border: pixels above and left of a tile that are passed to `predict` as well.
      extent: side of the squares passed to `predict`; None uses the tile's. Predictions may then
        extend beyond the tile below and to the right.

    Raises:
      UserError: the tile, overlap or margin is impossible; while running, predictions do not have
        the tile's size.
    """
    _check(image, tile, overlap, margin, multiple)
    step = (tile - overlap) // multiple * multiple
    tops, lefts = (_positions(size, tile, step, multiple) for size in image.shape[:2])
    extent = tile if extent is None else extent
    return _bands(predict, image, tile, tops, lefts, margin, batch_size, border, extent)


def predict_mirrored(
    predict: Predict, images: np.ndarray, *, border: int, extents: Sequence[int]
) -> np.ndarray:
    """Predicts whole images with a network without padding, on mirrored borders.

    Args:
      predict: maps images [batch, *extents, channels] to predictions whose first pixel is `border`
        pixels from the top and the left.
      images: [batch, height, width, channels].
      border: pixels that are mirrored above and on the left.
      extents: input height and width whose predictions are at least as large as the images.

    Returns:
      [batch, height, width, classes].
    """
    height, width = images.shape[1:3]
    rows, columns = (
        mirrored(-border, extent, size)
        for extent, size in zip(extents, (height, width), strict=True)
    )
    return np.asarray(predict(images[:, rows][:, :, columns]))[:, :height, :width]


def class_map(bands: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Takes the argmax over the classes at every pixel, uint8 [height, width].

    Args:
      bands: predictions [rows, width, classes] from top to bottom; at most 255 classes.
      shape: total height and width.
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
        rows = mirrored(top - border, extent, height)
        for first in range(0, len(lefts), size):
            starts = lefts[first : first + size]
            columns = [mirrored(left - border, extent, width) for left in starts]
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
    """Start positions of tiles that cover `size` pixels."""
    last = max(-(-(size - tile) // multiple), 0) * multiple
    return [*range(0, last, step), last]


def _weights(starts: list[int], tile: int, margin: int) -> np.ndarray:
    """Weights [tiles, tile] along one axis that sum to 1 at every pixel of the image."""
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


def _read(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    top, left = rows.min(), columns.min()
    block = np.asarray(image[top : rows.max() + 1, left : columns.max() + 1])
    return block[np.ix_(rows - top, columns - left)]
