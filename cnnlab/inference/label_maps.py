"""Label maps of images of any size from a trained segmentation run."""

import functools
import math
from collections.abc import Iterator

import numpy as np

from cnnlab.data import DatasetInfo
from cnnlab.data.geometry.pixels import resize_pixels
from cnnlab.data.geometry.placement import Size
from cnnlab.errors import UserError
from cnnlab.inference.run import TrainedRun
from cnnlab.inference.tiling import Predict, class_map, predict_mirrored, predict_tiled
from cnnlab.inference.tta import with_tta

_SCALES = (0.75, 1.0, 1.25)
_BAND = 64  # rows that are resized at once
# Images of more pixels are predicted in tiles, and tiles have this side or that of training images.
_WHOLE_PIXELS = 2**20
_TILE = 512


def seen_size(info: DatasetInfo, size: Size) -> Size:
    """Height and width in which a run's network sees an image: at the scale of its training.

    Args:
      info: description of the run's data.
      size: height and width of the image.
    """
    frame = info.image_shape[:2]
    if info.resize == "none" or info.file_sizes == (frame, frame):
        return size
    return info.geometry.scaled_size(size, frame)


def segment_image(
    run: TrainedRun,
    image: np.ndarray,
    *,
    tile: int | None = None,
    overlap: int | None = None,
    tta: bool = False,
) -> np.ndarray:
    """Predicts the class of every pixel of an image, uint8 [height, width].

    The image is predicted at the scale of training, see `seen_size`: as it is, if training did not
    resize its images, and in tiles if it has more than 2^20 pixels. If training did, it is resized
    alike, and the probabilities are resized back (bilinear) before the argmax. A network without
    padding gets the image with mirrored borders. Its tiles get the pixels around them, or mirrored
    ones with `tta`.

    Args:
      run: a run from `load_run`.
      image: [height, width, channels], with the channels and pixel type of the run's data.
      tile: side in pixels of the windows in which the image is predicted at full size
        (`predict_tiled`), a multiple of the network's stride.
      overlap: overlap of these windows in pixels; a quarter of `tile` by default. A quarter of
        it is discarded at each inner edge.
      tta: whether to average over scales of 0.75, 1 and 1.25 and over the flips that the run was
        trained with.

    Raises:
      UserError: the image has other channels than the run's data, or the overlap is set without
        tiles or too large for them.
    """
    info = run.info
    channels = info.image_shape[-1]
    if image.ndim != 3 or image.shape[-1] != channels:
        raise UserError(
            f"An image of the run's data is [height, width, {channels}], got shape {image.shape}."
        )
    if image.dtype != info.dtype:
        raise UserError(
            f"The run's data have {info.dtype} pixels, but this image has {image.dtype}."
        )
    if overlap is not None and tile is None:
        raise UserError(f"overlap={overlap} is the overlap of tiles: set tile as well.")
    size = image.shape[:2]
    if tile is None and seen_size(info, size) == size and math.prod(size) > _WHOLE_PIXELS:
        tile = -(-max(*info.image_shape[:2], _TILE) // run.stride) * run.stride
    whole = functools.partial(_of_whole_images, run)
    predict = _with_tta(run, whole) if tta else whole
    if tile is None:
        seen = resize_pixels(image, seen_size(info, size), interpolation=info.interpolation)
        values = np.asarray(predict(seen[None]))[0]
        bands = [values] if values.shape[:2] == size else _resized(values, size)
        return class_map(bands, size)
    if overlap is None:
        overlap = max(min(tile // 4, tile - run.stride), 0)
    around = {}
    if not tta:
        predict = run.probabilities
        around = {"border": run.border, "extent": run.input_size((tile,))[0]}
    bands = predict_tiled(
        predict,
        image,
        tile=tile,
        overlap=overlap,
        margin=overlap // 4,
        multiple=run.stride,
        **around,
    )
    return class_map(bands, image.shape[:2])


def _of_whole_images(run: TrainedRun, images: np.ndarray) -> np.ndarray:
    """Probabilities of all pixels, [batch, height, width, classes]."""
    if not run.border:
        return run.probabilities(images)
    extents = run.input_size(images.shape[1:3])
    return predict_mirrored(run.probabilities, images, border=run.border, extents=extents)


def _with_tta(run: TrainedRun, predict: Predict) -> Predict:
    augment = run.config.augment
    trained = {"horizontal": augment.flip, "vertical": augment.flip_vertical}
    flips = [flip for flip, used in trained.items() if used]
    return with_tta(predict, flips=flips, scales=_SCALES)


def _resized(values: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields values [height, width, classes] resized bilinearly, in bands of rows.

    The probabilities of all pixels of a large image may not fit into memory.
    """
    rows, columns = (_samples(old, new) for old, new in zip(values.shape[:2], size, strict=True))
    for top in range(0, size[0], _BAND):
        band = _interpolate(values, *(x[top : top + _BAND] for x in rows), axis=0)
        yield _interpolate(band, *columns, axis=1)


def _samples(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both neighbours of each new position and the weight of the second; pixels are areas."""
    positions = ((np.arange(new) + 0.5) * (old / new) - 0.5).clip(0, old - 1)
    first = positions.astype(int)
    return first, np.minimum(first + 1, old - 1), (positions - first).astype(np.float32)


def _interpolate(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray, *, axis: int
) -> np.ndarray:
    share = share.reshape(-1, *[1] * (2 - axis))
    return values.take(first, axis) * (1 - share) + values.take(second, axis) * share
