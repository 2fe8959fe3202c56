"""Which classes are confused with which."""

import numpy as np


def most_confused(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """Returns (true class, predicted class, count), most frequent mistakes first.

    Args:
      confusion: number of examples or pixels of class i predicted as class j, [classes, classes].
      count: largest number of entries; those with count 0 are left out.
    """
    wrong = np.array(confusion, np.int64)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = (np.unravel_index(int(index), wrong.shape) for index in order)
    return [(int(i), int(j), int(wrong[i, j])) for i, j in pairs if wrong[i, j]]
