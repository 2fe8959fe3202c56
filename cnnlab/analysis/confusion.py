"""Which classes are taken for which."""

import numpy as np


def most_confused(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """(true class, predicted class, how many), the most frequent mistakes first.

    Args:
      confusion: examples or pixels of class i that were taken for class j, [classes, classes].
      count: how many, at most; those that never happen are left out.
    """
    wrong = np.array(confusion, np.int64)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = (np.unravel_index(int(index), wrong.shape) for index in order)
    return [(int(i), int(j), int(wrong[i, j])) for i, j in pairs if wrong[i, j]]
