"""Which examples a batch holds: a pure function of (seed, step)."""

import functools
from collections.abc import Callable

import numpy as np


def epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """The permutation of the examples in one epoch, int64 [num_examples]; not to be written to."""
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
    """Numbers of the examples in the batch of one step, int64 [batch_size / process_count].

    Position `p = step * batch_size + i` of the run is position `p % num_examples` of epoch
    `p // num_examples`, and each epoch is a permutation of its own, drawn from (seed, epoch): every
    example once an epoch, nothing dropped; a batch may straddle two epochs.

    Args:
      seed: of the run.
      step: updates made before.
      batch_size: global; each process gets an equal, contiguous share, so that the shares one after
        the other are the batch of a single process.
      num_examples: in the training split.
      process_index: which share.
      process_count: how many shares.
      order: `epoch_order`, with a cache that suits how often which epochs are asked for.

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


def share_size(batch_size: int, process_count: int) -> int:
    """Examples of a global batch that each process has; raises ValueError where that is uneven."""
    if batch_size % process_count:
        raise ValueError(
            f"A batch of {batch_size} cannot be shared over {process_count} processes."
        )
    return batch_size // process_count
