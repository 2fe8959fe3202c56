"""Puts the training batches of given steps on the devices."""

import functools
from collections.abc import Generator, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.data import ArraySource, train_batches
from cnnlab.data.geometry.crops import TrainCrop
from cnnlab.data.order import epoch_order, index_function
from cnnlab.train.runtime.devices import Parallel
from cnnlab.train.runtime.prefetch import Prefetched


def gather(images: jax.Array, labels: jax.Array, indices: jax.Array) -> dict[str, jax.Array]:
    """Returns the batch of examples with these indices, whose axes come first."""
    return {
        "image": images[indices],
        "label": labels[indices],
        "mask": jnp.ones(indices.shape, jnp.float32),
    }


# One for all runs of a process.
_gather = jax.jit(gather)


class ResidentInput:
    """Batches of a training split in memory, which is put on the devices once."""

    def __init__(
        self,
        source: ArraySource,
        *,
        batch_size: int,
        sampling: str = "uniform",
        where: jax.sharding.Sharding | jax.Device | None = None,
        members: int = 1,
    ):
        """Sets up the input; copies nothing yet.

        Args:
          source: source of the training split, in memory.
          batch_size: global batch size.
          sampling: `uniform` or `balanced`, as in `cnnlab.data.order.index_function`.
          where: device or sharding of the data; None is the first device.
          members: largest number of seeds.
        """
        self._source, self._batch_size = source, batch_size
        self._where = where or jax.local_devices()[0]
        self._data: tuple[jax.Array, jax.Array] | None = None
        self._choose = index_function(source, sampling)
        if sampling == "uniform":
            # The order of an epoch is asked for again and again, and a batch may lie in two epochs.
            order = functools.lru_cache(maxsize=2 * members + 2)(epoch_order)
            self._choose = functools.partial(self._choose, order=order)

    @property
    def data(self) -> tuple[jax.Array, jax.Array]:
        """Images and labels on the devices."""
        if self._data is None:
            self._data = jax.device_put((self._source.images, self._source.labels), self._where)
        return self._data

    def move(self, where: jax.sharding.Sharding) -> None:
        """Moves the data to another device or sharding."""
        self._where, self._data = where, None

    def indices(self, seeds: Sequence[int], steps: range) -> np.ndarray:
        """Returns the indices of this process's examples, int32 [seeds, steps, batch]."""
        return np.stack([[self._indices(seed, step) for step in steps] for seed in seeds])

    def batch(self, seed: int, steps: range, parallel: Parallel) -> dict[str, jax.Array]:
        """Returns the batch of these steps, stacked on a new first axis if there are several."""
        (indices,) = self.indices([seed], steps)
        stacked = len(steps) > 1
        batch = _gather(*self.data, indices if stacked else indices[0])
        return parallel.shard(batch, stacked=stacked)

    def _indices(self, seed: int, step: int) -> np.ndarray:
        chosen = self._choose(
            seed,
            step,
            batch_size=self._batch_size,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        return chosen.astype(np.int32)


def training_input(
    source: object,
    parallel: Parallel,
    *,
    seed: int,
    batch_size: int,
    start_step: int,
    stop_step: int,
    steps_per_call: int,
    num_workers: int,
    sampling: str = "uniform",
    crop: TrainCrop | None = None,
) -> Iterator[tuple[int, dict[str, jax.Array]]]:
    """Yields (number of steps, batch) from `start_step` to `stop_step`; see `train_batches`.

    A batch for several steps is stacked on a new first axis. Data sets in memory are put on the
    devices once and gathered there; others are streamed by grain's workers and put on the devices
    before they are needed.
    """
    if isinstance(source, ArraySource):
        resident = ResidentInput(source, batch_size=batch_size, sampling=sampling)
        return (
            (count, resident.batch(seed, range(step, step + count), parallel))
            for step, count in _calls(start_step, stop_step, steps_per_call)
        )
    batches = train_batches(
        source,
        seed=seed,
        batch_size=batch_size,
        start_step=start_step,
        stop_step=stop_step,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_workers=num_workers,
        sampling=sampling,
        crop=crop,
    )
    return Prefetched(_streamed(batches, parallel, start_step, stop_step, steps_per_call))


def _calls(start: int, stop: int, steps_per_call: int) -> Iterator[tuple[int, int]]:
    """First step and number of steps of each call; only the last call may be shorter."""
    for step in range(start, stop, steps_per_call):
        yield step, min(steps_per_call, stop - step)


def _streamed(
    batches: Iterator[dict[str, np.ndarray]],
    parallel: Parallel,
    start_step: int,
    stop_step: int,
    steps_per_call: int,
) -> Generator[tuple[int, dict[str, jax.Array]], None, None]:
    for _, count in _calls(start_step, stop_step, steps_per_call):
        group = [next(batches) for _ in range(count)]
        if count == 1:
            yield 1, parallel.shard(group[0])
        else:
            stack = {name: np.stack([batch[name] for batch in group]) for name in group[0]}
            yield count, parallel.shard(stack, stacked=True)
