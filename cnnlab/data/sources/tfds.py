"""Image data sets of TensorFlow Datasets, read without TensorFlow.

`cnnlab.data.sources.tfds_builder` prepares a data set once, as array_record files.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.data.cache import cached
from cnnlab.data.geometry.form import DEFAULT_SIZE, Form, Wanted, choose_form
from cnnlab.data.geometry.image_source import ImageSource
from cnnlab.data.geometry.placement import Geometry
from cnnlab.data.geometry.storage import in_memory, small
from cnnlab.data.image import inspect_image, read_pixels
from cnnlab.data.source import Source
from cnnlab.data.sources import tfds_masks
from cnnlab.data.sources.tfds_builder import find_builder, prepare
from cnnlab.data.sources.tfds_records import Records
from cnnlab.errors import UserError

# Records that are read together when all headers of a set are read.
_AT_ONCE = 1024
# TFDS's names of a held-out split with labels, in order of preference for the test split.
_TEST_SPLITS = ("test", "validation", "val")


class TfdsSource(ImageSource):
    """Records of one split, decoded on demand.

    Records contain the images' encoded files. Decoding them here instead of in TFDS, and reading
    the records of a batch at once, is three times as fast.
    """

    def __init__(
        self,
        records: Records,
        image_key: str,
        label_key: str,
        shape: tuple[int, int, int],
        num_classes: int,
        dtype: str = "uint8",
        geometry: Geometry | None = None,
        sizes: np.ndarray | None = None,
    ):
        super().__init__(shape, dtype, geometry, sizes)
        self._records, self._num_classes = records, num_classes
        self._image_key, self._label_key = image_key, label_key
        self._numbers = np.arange(len(records))

    def __len__(self) -> int:
        return len(self._numbers)

    def _fetch(self, indices: Sequence[int]) -> list[Mapping[str, Any]]:
        return self._records.read_many(self._numbers[indices].tolist())

    def _file(self, index: int, record: Mapping[str, Any]) -> tuple[bytes, str]:
        return record[self._image_key], f"example {self._numbers[index]}"

    def _label(self, index: int, record: Mapping[str, Any]) -> np.int32:
        label = record[self._label_key]
        if not 0 <= label < self._num_classes:  # TFDS has -1 for examples without a label
            raise UserError(
                f"Example {self._numbers[index]} has the label {label}, and {self._num_classes} "
                f"classes allow 0 to {self._num_classes - 1}."
            )
        return np.int32(label)

    def take(self, indices: np.ndarray) -> "TfdsSource":
        """Returns the examples with these indices, in this order."""
        other = self._taken(indices)
        other._numbers = self._numbers[indices]
        return other


def load_splits(
    name: str, wanted: Wanted, data_dir: str | None, manual_dir: str | None
) -> tuple[dict[str, Source], tuple[str, ...], Form]:
    """Returns splits and classes of a data set, which is prepared if needed, and the images' form.

    A data set without a test split uses its validation split. With `wanted.maps`, labels are label
    maps.

    Raises:
      UserError: the name is unknown, the data set has no such labels, or it cannot be prepared.
    """
    builder = find_builder(name, data_dir)
    masks = wanted.maps
    keys = tfds_masks.image_and_mask_keys if masks else _keys
    image_key, label_key = keys(name, builder)
    if not builder.is_prepared():
        prepare(name, data_dir, manual_dir)
        builder = find_builder(name, data_dir)
    features = builder.info.features
    values = tfds_masks.mask_values(name, builder, label_key) if masks else None
    class_names = values.names if masks else tuple(features[label_key].names)
    available = builder.info.splits
    splits = {"train": "train"}
    for split in _TEST_SPLITS:
        if split in available:
            splits.setdefault("test", split)
    if "validation" in available and splits.get("test") != "validation":
        splits["validation"] = "validation"
    if "train" not in available:
        raise UserError(f"data.name={name}: it has no training split, only {sorted(available)}.")
    records = {
        ours: Records(builder, theirs, (image_key, label_key), decoded=label_key)
        for ours, theirs in splits.items()
    }
    sizes = _sizes(records, image_key, features[image_key].shape, wanted)
    # What TFDS declares is what it converts to; here images stay what their files are.
    dtype = str(read_pixels(records["train"][0][image_key], name="example 0").dtype)
    known = sizes and {tuple(size) for found in sizes.values() for size in found.tolist()}
    form = choose_form(known, _channels(features[image_key]), dtype, wanted)

    def source(split: str) -> ImageSource:
        kind = tfds_masks.TfdsMaskSource if masks else TfdsSource
        return kind(
            records[split],
            image_key,
            label_key,
            form.eval_shape,
            values if masks else len(class_names),
            dtype,
            form.geometry,
            sizes and sizes[split],
        )

    sources = {split: source(split) for split in splits}
    held = functools.partial(in_memory, sources, form)
    if form.crops or not small(sources):
        return held(), class_names, form
    key = f"tfds, by read_image {builder.data_path} {builder.version} {form} "
    key += f"{sorted(splits.items())}"
    if masks:
        key += f" {label_key} {values}"
    return dict(cached(key, held)), class_names, form


def _sizes(
    records: Mapping[str, Records], image_key: str, shape: tuple[int | None, ...], wanted: Wanted
) -> dict[str, np.ndarray] | None:
    """Height and width of each image; None if they do not matter.

    If images differ in size, all files' headers are read, but only for images that are not scaled
    or are held in their own sizes.
    """
    if None not in shape[:2]:
        return {split: np.tile(shape[:2], (len(some), 1)) for split, some in records.items()}
    resize = wanted.record.resize if wanted.record else wanted.resize
    scaled = resize not in (None, "none") or (
        resize is None and not (wanted.maps and wanted.image_size is None)
    )
    if scaled:
        return None
    found = {}
    for split, some in records.items():
        headers = (
            inspect_image(record[image_key], name=f"example {number}")
            for first in range(0, len(some), _AT_ONCE)
            for number, record in enumerate(
                some.read_many(range(first, min(first + _AT_ONCE, len(some)))), start=first
            )
        )
        found[split] = np.array([(info.height, info.width) for info in headers])
    return found


def metadata(
    name: str, image_size: int | None, data_dir: str | None, *, masks: bool = False
) -> tuple[tuple[int, int, int], int]:
    """Returns image shape and number of classes of a data set, without preparing it.

    Raises:
      UserError: the name is unknown, the data set has no such labels, or only the prepared data
        set determines the classes of masks.
    """
    builder = find_builder(name, data_dir)
    keys = tfds_masks.image_and_mask_keys if masks else _keys
    image_key, label_key = keys(name, builder)
    shape = _image_shape(builder.info.features[image_key], image_size)
    if masks:
        return shape, len(tfds_masks.mask_values(name, builder, label_key).names)
    return shape, builder.info.features[label_key].num_classes


def _image_shape(feature: Any, image_size: int | None) -> tuple[int, int, int]:
    """Image shape for an image feature of unknown size."""
    height, width, _ = feature.shape
    if image_size is not None or height is None or width is None:
        height = width = image_size or DEFAULT_SIZE
    return height, width, _channels(feature)


def _channels(feature: Any) -> int:
    """Number of channels; alpha is blended with white."""
    channels = feature.shape[2]
    return 3 if channels in (None, 4) else channels


def _keys(name: str, builder: object) -> tuple[str, str]:
    """Names of the image feature and the label feature."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    images = [k for k, f in features.items() if isinstance(f, tfds.features.Image)]
    labels = [k for k, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    supervised = builder.info.supervised_keys or ()
    for candidates in (images, labels):
        candidates.sort(key=lambda key: key not in supervised)
    if not images or not labels:
        raise UserError(
            f"data.name={name} is not an image classification set: its features are "
            f"{', '.join(features)}."
        )
    return images[0], labels[0]
