"""The weight map of the U-Net paper: the weight of each pixel in the loss."""

import math
from collections.abc import Sequence

import numpy as np

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
    eq. 2, with their w0 and sigma). Objects are 4-connected pixels of one class; touching
    objects of one class are one object unless a line of background separates them. Distances are
    between pixel centers, and 0 inside the object, where the paper does not define them.

    The loss `boundary` takes a batch of such maps as `weight`. This runs on the host and computes
    only each object's surroundings: beyond 7 sigma the second term is below float32's resolution
    of the first.

    Args:
      label_map: integers [height, width].
      w0: weight in a gap of width 0.
      sigma: decay length of the weight, in pixels.
      class_weights: w_c of each class; None means 1.
      background: class whose pixels form no objects.
      ignore: label of ignored pixels, which form no object and have weight 0.
    """
    from scipy import ndimage  # slow to import, and every command knows this loss

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
