"""Exact evaluation: every example counts once for any batch size and number of devices."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from cnnlab.arrays import ROWS, PyTree
from cnnlab.data import eval_batches
from cnnlab.train.runtime.devices import Parallel


def evaluate(
    eval_call: Any, variables: PyTree, source: Any, parallel: Parallel, *, batch_size: int
) -> dict[str, np.ndarray]:
    """Computes metric sums, and rows for metrics that need them, over all examples of a source.

    Args:
      eval_call: step from `make_eval_step`, compiled by `parallel.compile_eval`.
      variables: variables of the network, replicated by `parallel`.
      source: source of the examples.
      parallel: how the devices are used.
      batch_size: examples per batch, rounded up to a multiple of the devices; the last batch is
        padded, and its padding masked.
    """
    batch_size = -(-batch_size // parallel.num_shares) * parallel.num_shares
    batches = eval_batches(
        source,
        batch_size=batch_size,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    total = SumsTotal()
    for batch in batches:
        total.add(jax.device_get(parallel.collect(eval_call(variables, parallel.shard(batch)))))
    return total.result()


class SumsTotal:
    """Adds up metric sums of batches and concatenates their rows (`cnnlab.arrays.ROWS`)."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._rows: dict[str, list[np.ndarray]] = {}

    def add(self, sums: Mapping[str, np.ndarray]) -> None:
        """Adds the sums of one batch; for several members, they have a leading axis."""
        mask = sums.get(ROWS + "mask")
        for name, value in sums.items():
            if name.startswith(ROWS):
                # Padding is the same for all members.
                kept = np.asarray(mask).reshape(-1, np.shape(mask)[-1])[0] > 0
                rows = np.compress(kept, value, axis=np.ndim(mask) - 1)
                self._rows.setdefault(name, []).append(rows)
            else:
                # In float64: a float32 loss sum of a large set loses digits.
                wide = np.asarray(value, np.float64 if value.dtype.kind == "f" else np.int64)
                self._sums[name] = self._sums[name] + wide if name in self._sums else wide
        self._axis = np.ndim(mask) - 1

    def result(self) -> dict[str, np.ndarray]:
        """Returns the sums and the rows of all examples."""
        rows = {name: np.concatenate(parts, self._axis) for name, parts in self._rows.items()}
        return self._sums | rows
