"""Exact evaluation: every example counts once, whatever the batch size and device count."""

from typing import Any

import jax
import numpy as np

from cnnlab.data import eval_batches
from cnnlab.train.parallel import Parallel
from cnnlab.train.state import PyTree


def evaluate(
    eval_call: Any, variables: PyTree, source: Any, parallel: Parallel, *, batch_size: int
) -> dict[str, np.ndarray]:
    """Metric sums over all examples of a source.

    Args:
      eval_call: `make_eval_step`, compiled by `parallel.compile_eval`.
      variables: of the network, replicated by `parallel` and whole.
      source: of examples.
      parallel: how the devices are used.
      batch_size: examples at a time, rounded up to a multiple of the devices; the last batch is
        padded, and its padding masked.
    """
    batch_size = -(-batch_size // parallel.num_shares) * parallel.num_shares
    batches = eval_batches(
        source,
        batch_size=batch_size,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    total: dict[str, np.ndarray] = {}
    for batch in batches:
        sums = parallel.collect(eval_call(variables, parallel.shard(batch)))
        for name, value in jax.device_get(sums).items():
            # Sums over batches in float64: a float32 loss sum of a large set loses digits.
            wide = np.asarray(value, np.float64 if value.dtype.kind == "f" else np.int64)
            total[name] = total[name] + wide if name in total else wide
    return total
