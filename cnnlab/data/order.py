"""The examples of a batch as a pure function of (seed, step)."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from cnnlab.data.source import Source
from cnnlab.errors import UserError


def epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """Returns the permutation of the examples in one epoch, int64 [num_examples]; read-only."""
    order = np.random.Generator(np.random.Philox([seed, epoch])).permutation(num_examples)
    order.flags.writeable = False
    return order


# A batch lies in two epochs at most times; more only where it is larger than the data set.
_recent_order = functools.lru_cache(maxsize=4)(epoch_order)


def batch_indices(
    seed: int,
    step: int,
    *,
    batch_size: int,
    num_examples: int,
    process_index: int = 0,
    process_count: int = 1,
    order: Callable[[int, int, int], np.ndarray] = _recent_order,
) -> np.ndarray:
    """Returns the indices of a step's examples, int64 [batch_size / process_count].

    Position `p = step * batch_size + i` of the run is position `p % num_examples` of epoch
    `p // num_examples`, and each epoch is a permutation drawn from (seed, epoch): every example
    occurs once per epoch, none is dropped, and a batch may span two epochs.

    Args:
      seed: seed of the run.
      step: step of the batch.
      batch_size: global batch size; each process gets an equal, contiguous share, so that the
        concatenated shares are the batch of a single process.
      num_examples: number of training examples.
      process_index: index of this process's share.
      process_count: number of shares.
      order: `epoch_order`, with a cache for the expected access pattern.

    Raises:
      ValueError: a batch that cannot be shared out evenly.
    """
    share = share_size(batch_size, process_count)
    first = step * batch_size + process_index * share
    positions = np.arange(first, first + share)
    epochs = positions // num_examples
    indices = np.empty(share, np.int64)
    for epoch in range(epochs[0], epochs[-1] + 1):
        there = epochs == epoch
        indices[there] = order(seed, epoch, num_examples)[positions[there] % num_examples]
    return indices


def balanced_indices(
    seed: int,
    step: int,
    *,
    batch_size: int,
    members: Sequence[np.ndarray],
    process_index: int = 0,
    process_count: int = 1,
) -> np.ndarray:
    """Returns the indices of the examples in a batch with all classes equally often.

    Position `p = step * batch_size + i` of the run is in round `r = p // classes`. Each round has
    every class once, in random order. A class's example in round r is at place `r % size` of a
    permutation of its examples, which is redrawn for each pass `r // size`: a small class is
    repeated, and none of its examples occurs again before all others have.

    Args:
      seed: seed of the run.
      step: step of the batch.
      batch_size: global batch size, shared as in `batch_indices`.
      members: indices of the examples of each class, none of them empty.
      process_index: index of this process's share.
      process_count: number of shares.

    Returns:
      int64 [batch_size / process_count].

    Raises:
      ValueError: a batch that cannot be shared out evenly.
    """
    share = share_size(batch_size, process_count)
    first = step * batch_size + process_index * share
    classes = len(members)
    indices = np.empty(share, np.int64)
    for i, position in enumerate(range(first, first + share)):
        turn = position // classes
        chosen = _round_order(seed, turn, classes)[position % classes]
        passes, place = divmod(turn, len(members[chosen]))
        order = _class_order(seed, int(chosen), passes, len(members[chosen]))
        indices[i] = members[chosen][order[place]]
    return indices


@functools.lru_cache(maxsize=8)
def _round_order(seed: int, turn: int, classes: int) -> np.ndarray:
    """Order of the classes in one round; the extra word separates it from other draws."""
    return np.random.Generator(np.random.Philox([seed, turn, 1])).permutation(classes)


@functools.lru_cache(maxsize=4096)
def _class_order(seed: int, label: int, passes: int, size: int) -> np.ndarray:
    """Order of the examples of one class in one pass over them."""
    key = np.random.SeedSequence([seed, label, passes, 2])
    return np.random.Generator(np.random.Philox(key)).permutation(size)


def class_members(source: Source) -> list[np.ndarray]:
    """Indices of the examples of each class that has any, for `balanced_indices`.

    Args:
      source: source of the training split.

    Raises:
      UserError: the labels are not known in advance, or images do not have one class each.
    """
    labels = getattr(source, "labels", None)
    if labels is None or labels.ndim != 1:
        reason = (
            "is too large to be held in memory, so its labels are not known beforehand"
            if labels is None
            else "has no single class for each image"
        )
        raise UserError(
            f"data.sampling=balanced: the training split {reason}; set data.sampling=uniform, and "
            "loss.class_weights for rare classes."
        )
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def share_size(batch_size: int, process_count: int) -> int:
    """Returns each process's share of a global batch; raises a ValueError if it is uneven."""
    if batch_size % process_count:
        raise ValueError(
            f"A batch of {batch_size} cannot be shared over {process_count} processes."
        )
    return batch_size // process_count


# `(seed, step, *, batch_size, process_index, process_count) -> indices` of the examples in a batch.
IndexFunction = Callable[..., np.ndarray]


def index_function(source: Source, sampling: str = "uniform") -> IndexFunction:
    """Returns the function from steps to indices of examples, by `data.sampling`.

    Args:
      source: source of the training split.
      sampling: `uniform` (`batch_indices`) or `balanced` (`balanced_indices`).

    Raises:
      UserError: `balanced` does not support the labels, as in `class_members`.
    """
    if sampling == "balanced":
        return functools.partial(balanced_indices, members=class_members(source))
    return functools.partial(batch_indices, num_examples=len(source))
