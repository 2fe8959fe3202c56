"""Batches of a source, for training from any step on and for exact evaluation."""

from collections.abc import Iterator

import numpy as np

from cnnlab.data.order import batch_indices, share_size
from cnnlab.data.source import IGNORE, ArraySource, Source, as_labels, read_many
from cnnlab.data.stream import stream

Batch = dict[str, np.ndarray]


def train_batches(
    source: Source,
    *,
    seed: int,
    batch_size: int,
    start_step: int,
    stop_step: int,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int = 0,
) -> Iterator[Batch]:
    """Yields the batches of the steps from `start_step` to `stop_step`.

    Nothing before `start_step` is read. Sources in memory are gathered; others are decoded and
    brought to their size by grain, whole batches ahead.

    Args:
      source: of the training split.
      seed: of the run.
      batch_size: global; this process yields its share of it, see `batch_indices`.
      start_step: updates made before.
      stop_step: updates made after the last batch.
      process_index: which share.
      process_count: how many shares.
      num_workers: processes that decode; 0 takes threads.

    Yields:
      `image` uint8 [batch, height, width, channels], `mask` ones [batch], and `label` int32 [batch]
      or, of label maps, uint8 [batch, height, width].
    """

    def indices(step: int) -> np.ndarray:
        return batch_indices(
            seed,
            step,
            batch_size=batch_size,
            num_examples=len(source),
            process_index=process_index,
            process_count=process_count,
        )

    if isinstance(source, ArraySource):
        for step in range(start_step, stop_step):
            chosen = indices(step)
            yield _batch(source.images[chosen], source.labels[chosen])
        return

    def decode(number: int) -> Batch:
        return _batch(*read_many(source, indices(start_step + number)))

    # One item is one batch, so that processes share out batches and cannot reorder examples.
    for batch in stream(decode, stop_step - start_step, num_workers):
        if num_workers:
            # Worker processes leave batches in shared memory, of which containers have little.
            batch = {name: np.array(values) for name, values in batch.items()}
        yield batch


def eval_batches(
    source: Source, *, batch_size: int, process_index: int = 0, process_count: int = 1
) -> Iterator[Batch]:
    """Yields every example exactly once, in batches of one shape; the last is padded.

    Padding has `mask` 0, and label maps of 255. With several processes each yields its share of
    every batch, as many batches as the others.

    Args:
      source: of a split.
      batch_size: global.
      process_index: which share.
      process_count: how many shares.

    Raises:
      ValueError: a batch that cannot be shared out evenly.
    """
    share = share_size(batch_size, process_count)
    first_example = source[0]
    shape, map_shape = first_example["image"].shape, np.shape(first_example["label"])

    def padded(number: int) -> Batch:
        first = number * batch_size + process_index * share
        numbers = np.arange(first, max(first, min(first + share, len(source))))
        images = np.zeros((share, *shape), np.uint8)
        labels = as_labels(np.full((share, *map_shape), IGNORE if map_shape else 0, np.uint8))
        if len(numbers):
            images[: len(numbers)], labels[: len(numbers)] = read_many(source, numbers)
        batch = _batch(images, labels)
        batch["mask"][len(numbers) :] = 0.0
        return batch

    count = -(-len(source) // batch_size)
    if isinstance(source, ArraySource):
        yield from map(padded, range(count))
    else:
        # In threads: processes would take longer to start than most evaluations take.
        yield from stream(padded, count, num_workers=0)


def _batch(images: np.ndarray, labels: np.ndarray) -> Batch:
    return {
        "image": images,
        "label": as_labels(labels),
        "mask": np.ones(len(images), np.float32),
    }
