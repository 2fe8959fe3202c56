"""Brings the training batches of given steps to the devices."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.data import ArraySource, batch_indices, train_batches
from cnnlab.train.parallel import Parallel
from cnnlab.train.prefetch import Prefetched


def gather(images: jax.Array, labels: jax.Array, indices: jax.Array) -> dict[str, jax.Array]:
    """The batch of the examples with these numbers; the shape of `indices` comes first."""
    return {
        "image": images[indices],
        "label": labels[indices],
        "mask": jnp.ones(indices.shape, jnp.float32),
    }


# One for all runs of a process.
_gather = jax.jit(gather)


def make_feed(
    source: object,
    parallel: Parallel,
    *,
    seed: int,
    batch_size: int,
    start_step: int,
    stop_step: int,
    steps_per_call: int,
    num_workers: int,
) -> Iterator[tuple[int, dict[str, jax.Array]]]:
    """Yields (number of steps, batch) from `start_step` to `stop_step`.

    A batch for several steps is stacked on a new first axis. Sets held in memory are put on the
    devices once, as uint8, and gathered there; others stream from grain's workers, and are on the
    devices before they are needed.
    """
    if isinstance(source, ArraySource):
        return _resident(source, parallel, seed, batch_size, start_step, stop_step, steps_per_call)
    batches = train_batches(
        source,
        seed=seed,
        batch_size=batch_size,
        start_step=start_step,
        stop_step=stop_step,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_workers=num_workers,
    )
    return Prefetched(_streamed(batches, parallel, start_step, stop_step, steps_per_call))


def _calls(start: int, stop: int, steps_per_call: int) -> Iterator[tuple[int, int]]:
    """First step and number of steps of each call; only the last may be shorter."""
    for step in range(start, stop, steps_per_call):
        yield step, min(steps_per_call, stop - step)


def _resident(
    source: ArraySource,
    parallel: Parallel,
    seed: int,
    batch_size: int,
    start_step: int,
    stop_step: int,
    steps_per_call: int,
) -> Iterator[tuple[int, dict[str, jax.Array]]]:
    device = jax.local_devices()[0]
    images, labels = jax.device_put((source.images, source.labels), device)

    for step, count in _calls(start_step, stop_step, steps_per_call):
        indices = np.stack(
            [
                batch_indices(
                    seed,
                    step + offset,
                    batch_size=batch_size,
                    num_examples=len(source),
                    process_index=jax.process_index(),
                    process_count=jax.process_count(),
                )
                for offset in range(count)
            ]
        ).astype(np.int32)
        stacked = steps_per_call > 1
        batch = _gather(images, labels, indices if stacked else indices[0])
        yield count, parallel.shard(batch, stacked=stacked)


def _streamed(
    batches: Iterator[dict[str, np.ndarray]],
    parallel: Parallel,
    start_step: int,
    stop_step: int,
    steps_per_call: int,
) -> Iterator[tuple[int, dict[str, jax.Array]]]:
    for _, count in _calls(start_step, stop_step, steps_per_call):
        group = [next(batches) for _ in range(count)]
        if steps_per_call == 1:
            yield 1, parallel.shard(group[0])
        else:
            stack = {name: np.stack([batch[name] for batch in group]) for name in group[0]}
            yield count, parallel.shard(stack, stacked=True)
