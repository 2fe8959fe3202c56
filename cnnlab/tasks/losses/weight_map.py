"""The weight map of the U-Net paper: how much each pixel counts in the loss."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from cnnlab.tasks.losses.pixels import IGNORE


def unet_weight_map(
    label_map: np.ndarray,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    class_weights: Sequence[float] | None = None,
    background: int = 0,
    ignore: int = IGNORE,
) -> np.ndarray:
    """w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))² / (2 sigma²)), float32 [height, width].

    d1 and d2 are the distances of a pixel to the nearest and the second nearest object, so pixels
    in a narrow gap between two objects count most (Ronneberger et al. 2015, arXiv:1505.04597,
    eq. 2, with their w0 and sigma). Objects are connected pixels of one class, through their sides;
    two of one class that touch are one object, unless a line of background parts them. Distances
    are those of pixel centres, and 0 inside of the object; the paper does not say what holds there.

    For the loss `boundary`, which takes a batch of maps as `weight`. It runs on the host, and looks
    at each object's surroundings only: beyond 7 sigma, the second term is below float32's
    resolution of the first.

    Args:
      label_map: integers [height, width].
      w0: weight of a gap of no width.
      sigma: how fast it falls, in pixels.
      class_weights: w_c, by class; unset means 1.
      background: the class that is no object.
      ignore: label of pixels that count for nothing: no object, weight 0.
    """
    nearest = np.full(label_map.shape, np.inf, np.float32)
    second = nearest.copy()
    reach = math.ceil(7 * sigma)
    for class_ in np.setdiff1d(label_map, [background, ignore]):
        objects, _ = ndimage.label(label_map == class_)
        for number, box in enumerate(ndimage.find_objects(objects), start=1):
            around = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in box)
            distance = ndimage.distance_transform_edt(objects[around] != number)
            second[around] = np.minimum(second[around], np.maximum(nearest[around], distance))
            nearest[around] = np.minimum(nearest[around], distance)
    weights = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    valid = label_map != ignore
    if class_weights is None:
        weights += 1
    else:
        weights[valid] += np.asarray(class_weights, np.float32)[label_map[valid]]
    return np.where(valid, weights, 0).astype(np.float32)
