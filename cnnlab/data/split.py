"""Fixed stratified splits: the same examples on every machine and for every seed of a run."""

from collections.abc import Sequence

import numpy as np

from cnnlab.errors import UserError

# Splits belong to a data set, not to a run: its seed must not move examples between them.
_SEED = 20_151_210


def stratified_split(
    labels: np.ndarray,
    fraction: float,
    class_names: Sequence[str],
    *,
    name: str,
    held_out: str = "test",
) -> tuple[np.ndarray, np.ndarray]:
    """Splits the numbers of examples in two, the same share of every class in each.

    Args:
      labels: int [examples].
      fraction: share of the second part, in (0, 1); at least one example of each class.
      class_names: for the error message, as is
      name: of the data set, and
      held_out: of the second part.

    Returns:
      Numbers of the examples of the first and of the second part, ascending.

    Raises:
      UserError: a class with a single example.
    """
    rng = np.random.default_rng(_SEED)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            # A test split must be; a validation split can be done without.
            way_out = " or set data.validation_fraction=0," if held_out == "validation" else ""
            raise UserError(
                f"Class '{class_names[label]}' of {name} has a single image left, and the "
                f"{held_out} split needs one too: add images,{way_out} or give the {held_out} "
                "split as a folder of its own."
            )
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen.append(rng.permutation(members)[:count])
    second = np.sort(np.concatenate(chosen))
    first = np.setdiff1d(np.arange(len(labels)), second)
    return first, second
