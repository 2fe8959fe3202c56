"""Label maps of images of any size, by a trained segmentation run."""

import functools
from collections.abc import Iterator

import numpy as np
from PIL import Image

from cnnlab.errors import UserError
from cnnlab.tasks.tiling import Predict, class_map, predict_mirrored, predict_tiled
from cnnlab.tasks.tta import with_tta
from cnnlab.train.restore import TrainedRun

_SCALES = (0.75, 1.0, 1.25)
_BAND = 64  # rows that are resized at once


def segment_image(
    run: TrainedRun,
    image: np.ndarray,
    *,
    tile: int | None = None,
    overlap: int | None = None,
    tta: bool = False,
) -> np.ndarray:
    """The class of every pixel of an image, uint8 [height, width].

    Without tiles, the image is resized (bicubic) so that its shorter side is that of the images
    that the run was trained on, and its probabilities are resized (bilinear) back before the
    largest is taken. A network without padding is given the image with mirrored borders; its tiles
    have the pixels around them as well, but with `tta`, where these are mirrored too.

    Args:
      run: of `load_run`.
      image: uint8 [height, width, channels], with the channels of the run's data.
      tile: side in pixels of windows that the image is predicted by at its full size, a multiple of
        the network's stride; see `predict_tiled`.
      overlap: of these windows, in pixels; a quarter of `tile` where unset. A quarter of it, at
        each inner edge, counts for nothing.
      tta: take the mean over scales of 0.75, 1 and 1.25 and over the flips that the run was
        trained with.

    Raises:
      UserError: an image with other channels, an overlap without or too wide for its tiles.
    """
    channels = run.info.image_shape[-1]
    if image.ndim != 3 or image.shape[-1] != channels:
        raise UserError(
            f"An image of the run's data is [height, width, {channels}], got shape {image.shape}."
        )
    if overlap is not None and tile is None:
        raise UserError(f"An overlap of {overlap} pixels is that of tiles: set tile as well.")
    whole = functools.partial(_of_whole_images, run)
    predict = _with_tta(run, whole) if tta else whole
    if tile is None:
        size = image.shape[:2]
        return class_map(_resized(_predict_whole(run, predict, image), size), size)
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


def _predict_whole(run: TrainedRun, predict: Predict, image: np.ndarray) -> np.ndarray:
    """Probabilities [height, width, classes] of the image at the size that the run knows."""
    side, shorter = min(run.info.image_shape[:2]), min(image.shape[:2])
    size = [max(round(length * side / shorter), 1) for length in image.shape[:2]]
    if list(image.shape[:2]) != size:
        pixels = Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image)
        pixels = pixels.resize(size[::-1], Image.Resampling.BICUBIC)
        image = np.asarray(pixels).reshape(*size, -1)
    return np.asarray(predict(image[None]))[0]


def _resized(values: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Bands of rows of values [height, width, classes], bilinearly resized to a new size.

    In bands, because the classes of all pixels of a large image can be more than memory holds.
    """
    rows, columns = (_samples(old, new) for old, new in zip(values.shape[:2], size, strict=True))
    for top in range(0, size[0], _BAND):
        band = _interpolate(values, *(x[top : top + _BAND] for x in rows), axis=0)
        yield _interpolate(band, *columns, axis=1)


def _samples(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours of each new position, and the share of the second; pixels are areas."""
    positions = ((np.arange(new) + 0.5) * (old / new) - 0.5).clip(0, old - 1)
    first = positions.astype(int)
    return first, np.minimum(first + 1, old - 1), (positions - first).astype(np.float32)


def _interpolate(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray, *, axis: int
) -> np.ndarray:
    share = share.reshape(-1, *[1] * (2 - axis))
    return values.take(first, axis) * (1 - share) + values.take(second, axis) * share
