"""Batches of a source, for training from any step on and for exact evaluation."""

from collections.abc import Iterator

import grain
import numpy as np
from absl import flags

from cnnlab.data.order import batch_indices, share_size
from cnnlab.data.source import IGNORE, ArraySource, Source, as_labels

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

    Nothing before `start_step` is read. Sources in memory are gathered; others are decoded by
    grain: in `num_workers` processes, or in threads where that is 0.

    Args:
      source: of the training split.
      seed: of the run.
      batch_size: global; this process yields its share of it, see `batch_indices`.
      start_step: updates made before.
      stop_step: updates made after the last batch.
      process_index: which share.
      process_count: how many shares.
      num_workers: processes that decode.

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

    def decode(step: int) -> Batch:
        examples = [source[int(index)] for index in indices(start_step + step)]
        return _batch(
            np.stack([example["image"] for example in examples]),
            np.stack([example["label"] for example in examples]),
        )

    # One element is one batch, so that processes share out batches and cannot reorder examples.
    steps = grain.MapDataset.range(stop_step - start_step).map(decode)
    if not num_workers:
        yield from steps.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=4))
        return
    if not flags.FLAGS.is_parsed():
        # grain's processes read absl flags, which only programs under `app.run` have parsed.
        flags.FLAGS.mark_as_parsed()
    options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    workers = grain.MultiprocessingOptions(num_workers=num_workers)
    yield from steps.to_iter_dataset(options).mp_prefetch(workers)


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
    for first in range(process_index * share, _round_up(len(source), batch_size), batch_size):
        numbers = range(first, min(first + share, len(source)))
        images = np.zeros((share, *shape), np.uint8)
        labels = as_labels(np.full((share, *map_shape), IGNORE if map_shape else 0, np.uint8))
        if isinstance(source, ArraySource):
            images[: len(numbers)] = source.images[first : first + share]
            labels[: len(numbers)] = source.labels[first : first + share]
        else:
            for row, number in enumerate(numbers):
                example = source[number]
                images[row], labels[row] = example["image"], example["label"]
        batch = _batch(images, labels)
        batch["mask"][len(numbers) :] = 0.0
        yield batch


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _batch(images: np.ndarray, labels: np.ndarray) -> Batch:
    return {
        "image": images,
        "label": as_labels(labels),
        "mask": np.ones(len(images), np.float32),
    }
