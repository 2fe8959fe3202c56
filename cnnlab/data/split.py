"""Fixed splits: the same examples on every machine and for every seed of a run."""

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


def random_split(
    num_examples: int, fraction: float, *, name: str, held_out: str
) -> tuple[np.ndarray, np.ndarray]:
    """Splits the numbers of examples that have no single label at hand to be shared out by.

    Args:
      num_examples: to split.
      fraction: share of the second part, in (0, 1); at least one example.
      name: of the data set, for the error message, and
      held_out: of the second part.

    Returns:
      Numbers of the examples of the first and of the second part, ascending.

    Raises:
      UserError: a single example.
    """
    if num_examples < 2:
        raise UserError(
            f"{name} has a single image left for training, and the {held_out} split needs one too: "
            f"add images, or give the {held_out} split as a folder of its own."
        )
    order = np.random.default_rng(0).permutation(num_examples)
    count = min(max(1, round(fraction * num_examples)), num_examples - 1)
    return np.sort(order[count:]), np.sort(order[:count])


def stratified_sample(
    labels: np.ndarray, per_class: int, class_names: Sequence[str], *, name: str
) -> np.ndarray:
    """Chooses the same number of examples of every class; a larger sample holds the smaller ones.

    Args:
      labels: int [examples].
      per_class: examples of each class.
      class_names: in the order of the labels.
      name: of the data set, for the error message.

    Returns:
      Numbers of the examples, ascending.

    Raises:
      UserError: a class with fewer examples.
    """
    rng = np.random.default_rng(_SEED)
    chosen = []
    for label, class_name in enumerate(class_names):
        members = np.flatnonzero(labels == label)
        if len(members) < per_class:
            raise UserError(
                f"data.train_examples_per_class={per_class}: class '{class_name}' of {name} has "
                f"only {len(members)} in its training split."
            )
        chosen.append(rng.permutation(members)[:per_class])
    return np.sort(np.concatenate(chosen))
