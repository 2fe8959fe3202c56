"""The checkpoints of a run on several hosts: the first one keeps them, all save and restore."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import SingleDeviceSharding

from cnnlab.train import hosts
from cnnlab.train.checkpoint import CheckpointWriter, Restored
from cnnlab.train.state import PyTree


class SharedCheckpoints:
    """A `CheckpointWriter` for hosts that act together: each method is to be called on all of them.

    A checkpoint is the same as one of a single host, so a run may go on with more hosts or fewer.
    What the writer finds wrong ends the first host, and with it the others.
    """

    def __init__(self, writer: CheckpointWriter | None):
        """Takes the open writer on the first host, None on the others."""
        self._writer = writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def steps(self) -> list[int]:
        """As `CheckpointReader.steps`."""
        return hosts.from_first(lambda: self._writer.steps())

    def save(
        self,
        step: int,
        state: PyTree,
        *,
        meta: Mapping[str, Any] | None = None,
        metric: float | None = None,
    ) -> None:
        """As `CheckpointWriter.save`, of arrays that may be spread over the hosts."""
        leaves, structure = jax.tree.flatten(state)
        # One after the other: no host but the first ever holds more than one whole array.
        whole = [self._kept(_whole(leaf)) for leaf in leaves]
        if self._writer is not None:
            self._writer.save(step, jax.tree.unflatten(structure, whole), meta=meta, metric=metric)

    def _kept(self, leaf: Any) -> Any:
        return leaf if self._writer is not None else None

    def check_for_errors(self) -> None:
        """As `CheckpointWriter.check_for_errors`."""
        if self._writer is not None:
            self._writer.check_for_errors()

    def wait(self) -> None:
        """Waits, on the first host, until the last save is on the disk."""
        if self._writer is not None:
            self._writer.wait()

    def restore(
        self, abstract_state: PyTree, which: Literal["latest", "best"] | int = "latest"
    ) -> Restored:
        """As `CheckpointWriter.restore`: the same step on all hosts, in NumPy arrays."""
        found = None
        if self._writer is not None:
            # Not to an accelerator: a state that is cut over many may not fit into one.
            where = SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
            target = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
                abstract_state,
            )
            found = self._writer.restore(target, which)
        step, meta = hosts.from_first(lambda: [found.step, found.meta])
        state = hosts.arrays_from_first(found and found.state, abstract_state)
        return Restored(step, state, meta)


def _whole(leaf: Any) -> Any:
    """An array of which every host may have a part, on all of them."""
    if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
        return leaf
    return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))
