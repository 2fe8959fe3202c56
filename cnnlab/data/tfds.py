"""Image data sets of TensorFlow Datasets, read without TensorFlow.

A set is prepared once, as array_record files; reading them needs no TensorFlow. Preparing may: TFDS
unpacks archives through it.
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data import tfds_masks
from cnnlab.data.cache import MAX_BYTES, cached
from cnnlab.data.image import UNREADABLE, decode_image, unreadable
from cnnlab.data.source import ArraySource, Example, Source
from cnnlab.errors import UserError, did_you_mean

# For `list`: what each is, without a network or the import of TFDS.
KNOWN = {
    "mnist": "70,000 handwritten digits, 28x28 gray",
    "fashion_mnist": "70,000 pieces of clothing, 28x28 gray, 10 classes",
    "kmnist": "70,000 cursive Japanese characters, 28x28 gray, 10 classes",
    "emnist": "handwritten letters and digits, 28x28 gray",
    "cifar10": "60,000 photographs, 32x32 color, 10 classes",
    "cifar100": "60,000 photographs, 32x32 color, 100 classes",
    "svhn_cropped": "99,289 house numbers, 32x32 color",
    "cats_vs_dogs": "23,262 photographs of pets, 2 classes",
    "tf_flowers": "3,670 photographs of flowers, 5 classes",
    "oxford_flowers102": "8,189 photographs of flowers, 102 classes",
    "oxford_iiit_pet": "7,349 photographs of pets, 37 breeds, or pet, background and border",
    "food101": "101,000 photographs of dishes, 101 classes",
    "eurosat": "27,000 satellite images, 64x64, 10 classes",
    "stl10": "13,000 labelled photographs, 96x96, 10 classes",
    "imagenette": "13,394 photographs, ten easy classes of ImageNet",
    "imagenet2012": "1.3 million photographs, 1,000 classes; needs --manual_dir",
    "scene_parse150": "22,210 photographs of places, masks of 150 classes",
    "cityscapes": "3,475 photographs of streets, masks of 19 classes; needs --manual_dir",
}
_DEFAULT_SIZE = 224
# Records that are read together when all of a set is decoded.
_AT_ONCE = 1024
# TFDS's names of a held-out split with labels, in order of preference for the test split.
_TEST_SPLITS = ("test", "validation", "val")


class TfdsSource:
    """Records of one split, decoded when asked for.

    The images of the records are the bytes of their files: decoding them here and not by TFDS, and
    reading the records of a batch at once, is three times as fast.
    """

    def __init__(
        self,
        records: object,
        image_key: str,
        label_key: str,
        shape: tuple[int, int, int],
        num_classes: int,
    ):
        self._records, self._shape, self._num_classes = records, shape, num_classes
        self._image_key, self._label_key = image_key, label_key

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        return self._example(index, self._records[index])

    def _example(self, index: int, record: Mapping[str, Any]) -> Example:
        image, label = record[self._image_key], record[self._label_key]
        if not 0 <= label < self._num_classes:  # TFDS has -1 for examples without a label
            raise UserError(
                f"Example {index} has the label {label}, and {self._num_classes} classes allow 0 "
                f"to {self._num_classes - 1}."
            )
        try:
            pixels = decode_image(image, self._shape)
        except UNREADABLE as error:
            raise UserError(unreadable(f"example {index}")) from error
        return {"image": pixels, "label": np.int32(label)}

    def read_many(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `cnnlab.data.source.read_many`."""
        images = np.empty((len(indices), *self._shape), np.uint8)
        labels = np.empty(len(indices), np.int32)
        records = self._records.__getitems__(indices.tolist())
        for row, (index, record) in enumerate(zip(indices, records, strict=True)):
            example = self._example(index, record)
            images[row], labels[row] = example["image"], example["label"]
        return images, labels

    def decode(self) -> ArraySource:
        """All of them, in memory."""
        images = np.empty((len(self), *self._shape), np.uint8)
        labels = np.empty(len(self), np.int32)
        for first in range(0, len(self), _AT_ONCE):
            some = slice(first, min(first + _AT_ONCE, len(self)))
            images[some], labels[some] = self.read_many(np.arange(some.start, some.stop))
        return ArraySource(images, labels)


def load_splits(
    name: str,
    image_size: int | None,
    data_dir: str | None,
    manual_dir: str | None,
    *,
    masks: bool = False,
) -> tuple[dict[str, Source], tuple[str, ...], tuple[int, int, int]]:
    """Splits, classes and image shape of a data set, which is prepared if it is not yet.

    A set without a test split gives its validation split as one. With `masks`, labels are maps.

    Raises:
      UserError: an unknown name, a set without labels of that kind, or one that cannot be prepared.
    """
    builder = _builder(name, data_dir)
    keys = tfds_masks.image_and_mask_keys if masks else _keys
    image_key, label_key = keys(name, builder)
    if not builder.is_prepared():
        prepare(name, data_dir, manual_dir)
        builder = _builder(name, data_dir)
    features = builder.info.features
    height, width, channels = features[image_key].shape
    if image_size is not None or height is None or width is None:
        height = width = image_size or _DEFAULT_SIZE
    shape = (height, width, channels or 3)
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

    def source(split: str) -> TfdsSource | tfds_masks.TfdsMaskSource:
        if masks:
            records = builder.as_data_source(split=split)
            return tfds_masks.TfdsMaskSource(records, image_key, label_key, shape, values)
        records = builder.as_data_source(split=split, decoders=_undecoded(features))
        return TfdsSource(records, image_key, label_key, shape, len(class_names))

    sources = {ours: source(theirs) for ours, theirs in splits.items()}
    example_size = math.prod(shape) + (shape[0] * shape[1] if masks else 0)
    if sum(map(len, sources.values())) * example_size > MAX_BYTES:
        return sources, class_names, shape
    key = f"tfds, by PIL {builder.data_path} {builder.version} {shape} {sorted(splits.items())}"
    if masks:
        key += f" {label_key} {values}"
    decoded = cached(key, lambda: {split: s.decode() for split, s in sources.items()})
    return dict(decoded), class_names, shape


def prepare(name: str, data_dir: str | None = None, manual_dir: str | None = None) -> Path:
    """Downloads a data set and lays it out as array_record files, unless that is done already.

    Args:
      name: as in TFDS's catalogue, e.g. `fashion_mnist` or `tf_flowers:3.0.1`.
      data_dir: where to; None means TFDS's default, `~/tensorflow_datasets`.
      manual_dir: archives that are taken instead of downloads.

    Returns:
      The folder of the prepared files.

    Raises:
      UserError: no network, missing archives, or TensorFlow is needed and not there; the text says
        what to do.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.extractor import ExtractError
    from tensorflow_datasets.core.download.util import DownloadError

    builder = _builder(name, data_dir)
    if manual_dir is not None:
        manual_dir = os.path.expanduser(manual_dir)
        if not os.path.isdir(manual_dir):
            raise UserError(f"--manual_dir={manual_dir}: there is no such folder.")
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    try:
        builder.download_and_prepare(download_config=config)
    # AssertionError is how TFDS says that archives are missing from manual_dir.
    except (OSError, ImportError, AssertionError, DownloadError, ExtractError,
            NonMatchingChecksumError) as error:  # fmt: skip
        raise UserError(_advice(name, error)) from error
    return Path(builder.data_path)


def _advice(name: str, error: BaseException) -> str:
    if any(isinstance(e, ImportError) and "tensorflow" in str(e) for e in _chain(error)):
        return (
            f"Preparing '{name}' needs TensorFlow (training does not): run \"pip install "
            "'cnnlab[prepare]'\", then this command again."
        )
    reason = str(error).strip().split("\n")[0][:200]
    return (
        f"'{name}' could not be prepared: {reason}. On a machine without network, put its archives "
        f"into a folder and run 'python launch.py prepare --dataset={name} --manual_dir=FOLDER', "
        "or copy ~/tensorflow_datasets from a machine where it is prepared and name it with "
        "--config.data.data_dir."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _builder(name: str, data_dir: str | None) -> object:
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    plain = name.split(":")[0].split("/")[0]
    if plain not in known:
        hint = did_you_mean(plain, [*KNOWN, "digits", "digit_scenes"])
        raise UserError(
            f"Unknown data set '{name}': it is neither 'digits', nor 'digit_scenes', nor "
            f"'folder:PATH', nor a set of TFDS.{hint}"
        )
    try:
        return tfds.builder(name, data_dir=data_dir, file_format="array_record")
    except (AssertionError, ValueError) as error:  # a version or config that does not exist
        reason = str(error).split("\n")[0]
        raise UserError(f"data.name={name} cannot be had from TFDS: {reason}") from error


def _undecoded(features: Mapping[str, Any]) -> dict[str, Any]:
    """Decoders that leave all images as they are."""
    import tensorflow_datasets as tfds

    skip = tfds.decode.SkipDecoding()
    return {k: skip for k, feature in features.items() if isinstance(feature, tfds.features.Image)}


def _keys(name: str, builder: object) -> tuple[str, str]:
    """Names of the image and of the label feature."""
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
