"""Batches of a source, for training from any step on and for exact evaluation."""

from collections.abc import Iterator

import numpy as np

from cnnlab.arrays import Batch
from cnnlab.data.geometry.crops import TrainCrop
from cnnlab.data.geometry.image_source import ImageSource
from cnnlab.data.geometry.windows import windowed
from cnnlab.data.order import index_function, share_size
from cnnlab.data.source import IGNORE, ArraySource, Source, as_labels, read_many
from cnnlab.data.stream import stream


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
    sampling: str = "uniform",
    crop: TrainCrop | None = None,
) -> Iterator[Batch]:
    """Yields the batches of the steps from `start_step` to `stop_step`.

    Nothing before `start_step` is read. Sources in memory are indexed; grain decodes and resizes
    others, whole batches ahead.

    Args:
      source: source of the training split.
      seed: seed of the run.
      batch_size: global batch size, of which this process yields its share.
      start_step: step of the first batch.
      stop_step: step after the last batch.
      process_index: index of this process's share.
      process_count: number of shares.
      num_workers: number of decoding processes; 0 uses threads.
      sampling: `uniform` or `balanced`, as in `cnnlab.data.order.index_function`.
      crop: random crops as images are read (`ImageSource.read_crops`); None reads them as in
        evaluation.

    Yields:
      `image` [batch, height, width, channels] in the source's type, `mask` ones [batch], and
      `label`: int32 [batch], multi-hot int32 [batch, classes], or label maps uint8 [batch, height,
      width].
    """
    choose = index_function(source, sampling)

    def indices(step: int) -> np.ndarray:
        return choose(
            seed,
            step,
            batch_size=batch_size,
            process_index=process_index,
            process_count=process_count,
        )

    def decode(number: int) -> Batch:
        step = start_step + number
        if crop is None:
            return _batch(*read_many(source, indices(step)))
        return _batch(*source.read_crops(indices(step), crop, seed=seed, step=step))

    if isinstance(source, ArraySource):
        yield from map(decode, range(stop_step - start_step))
        return

    if isinstance(source, ImageSource) and source.is_held:
        num_workers = 0  # each would get a copy of all images
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

    Images with label maps that are larger than the source's shape are divided into windows
    (`cnnlab.data.geometry.windows`); every pixel has its label in exactly one of them.

    Padding has `mask` 0, and label maps of 255. With several processes each yields its share of
    every batch, as many batches as the others.

    Args:
      source: source of a split.
      batch_size: global batch size.
      process_index: index of this process's share.
      process_count: number of shares.

    Raises:
      ValueError: the batch cannot be divided evenly.
    """
    source = windowed(source)
    share = share_size(batch_size, process_count)
    first_example = source[0]
    image, label_shape = first_example["image"], np.shape(first_example["label"])

    def padded(number: int) -> Batch:
        first = number * batch_size + process_index * share
        numbers = np.arange(first, max(first, min(first + share, len(source))))
        images = np.zeros((share, *image.shape), image.dtype)
        padding = IGNORE if len(label_shape) == 2 else 0
        labels = as_labels(np.full((share, *label_shape), padding, np.uint8))
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
