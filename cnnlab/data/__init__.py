"""Data: sources of examples, batches as pure functions of (seed, step), augmentation."""

from cnnlab.data.batches import eval_batches, train_batches
from cnnlab.data.load import list_datasets, load
from cnnlab.data.order import batch_indices
from cnnlab.data.source import IGNORE, ArraySource, Dataset, DatasetInfo, Source
from cnnlab.data.tfds import prepare

__all__ = [
    "IGNORE",
    "ArraySource",
    "Dataset",
    "DatasetInfo",
    "Source",
    "batch_indices",
    "eval_batches",
    "list_datasets",
    "load",
    "prepare",
    "train_batches",
]
