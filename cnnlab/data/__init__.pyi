from . import augment
from .batches import eval_batches, train_batches
from .catalog import list_datasets
from .loading import image_shape_and_classes, is_at_hand, load
from .order import batch_indices
from .source import IGNORE, ArraySource, Dataset, DatasetInfo, DatasetRecord, Source
from .sources.arrays import from_arrays
from .sources.tfds_builder import prepare

__all__ = [
    "IGNORE",
    "ArraySource",
    "Dataset",
    "DatasetInfo",
    "DatasetRecord",
    "Source",
    "augment",
    "batch_indices",
    "eval_batches",
    "from_arrays",
    "image_shape_and_classes",
    "is_at_hand",
    "list_datasets",
    "load",
    "prepare",
    "train_batches",
]
