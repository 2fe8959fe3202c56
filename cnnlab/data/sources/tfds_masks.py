"""Segmentation data sets of TFDS: their mask feature and the meaning of its values."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.data.geometry.image_source import ImageSource
from cnnlab.data.geometry.placement import Geometry
from cnnlab.data.image import inspect_image
from cnnlab.data.source import IGNORE
from cnnlab.data.sources.tfds_records import Records
from cnnlab.errors import UserError

# What masks are called where TFDS does not mark them as such.
_MASK_KEYS = ("segmentation_mask", "segmentation_label", "annotation", "mask")


@dataclasses.dataclass(frozen=True)
class MaskValues:
    """Meaning of the values of masks.

    Attributes:
      names: names of the classes in the order of their labels.
      values: value of each class; None if values are labels. Other values are ignored.
    """

    names: tuple[str, ...]
    values: tuple[int, ...] | None = None

    def labels(self, mask: np.ndarray) -> np.ndarray:
        """Returns the labels of a mask [height, width, channels], uint8 [height, width].

        Raises:
          UserError: a value is not a label.
        """
        # Gray masks that TFDS decodes as color repeat their values.
        mask = mask[..., 0]
        if self.values is not None:
            table = np.full(256, IGNORE, np.uint8)
            table[list(self.values)] = np.arange(len(self.values))
            return table[mask]
        wrong = (mask >= len(self.names)) & (mask != IGNORE)
        if wrong.any():
            raise UserError(
                f"A mask has the label {mask[wrong][0]}, and {len(self.names)} classes allow 0 to "
                f"{len(self.names) - 1}."
            )
        return mask.astype(np.uint8)


# Sets whose values are not labels as they are, or whose names TFDS does not know.
KNOWN = {
    "oxford_iiit_pet": MaskValues(("pet", "background", "border"), (1, 2, 3)),
    # 0 is what belongs to none of the 150 classes of the benchmark.
    "scene_parse150": MaskValues(tuple(map(str, range(1, 151))), tuple(range(1, 151))),
    # The 19 classes that the benchmark evaluates, of 34.
    "cityscapes": MaskValues(
        ("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
         "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
         "motorcycle", "bicycle"),
        (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
    ),
}  # fmt: skip


class TfdsMaskSource(ImageSource):
    """Records of one split with their masks, decoded on demand."""

    maps = True

    def __init__(
        self,
        records: Records,
        image_key: str,
        mask_key: str,
        shape: tuple[int, int, int],
        values: MaskValues,
        dtype: str = "uint8",
        geometry: Geometry | None = None,
        sizes: np.ndarray | None = None,
    ):
        super().__init__(shape, dtype, geometry, sizes)
        self._records, self._values = records, values
        self._image_key, self._mask_key = image_key, mask_key
        self._numbers = np.arange(len(records))

    def __len__(self) -> int:
        return len(self._numbers)

    def _fetch(self, indices: Sequence[int]) -> list[Mapping[str, Any]]:
        return self._records.read_many(self._numbers[indices].tolist())

    def _file(self, index: int, record: Mapping[str, Any]) -> tuple[bytes, str]:
        return record[self._image_key], self._name(index)

    def _label(self, index: int, record: Mapping[str, Any]) -> np.ndarray:
        labels = self._values.labels(record[self._mask_key])
        info = inspect_image(record[self._image_key], name=self._name(index))
        if (info.height, info.width) != labels.shape:
            raise UserError(
                f"Example {self._numbers[index]} has an image of {info.height, info.width} pixels "
                f"and a mask of {labels.shape}."
            )
        return labels

    def _name(self, index: int) -> str:
        return f"example {self._numbers[index]}"

    def take(self, indices: np.ndarray) -> "TfdsMaskSource":
        """Returns the examples with these indices, in this order."""
        other = self._taken(indices)
        other._numbers = self._numbers[indices]
        return other


def image_and_mask_keys(name: str, builder: object) -> tuple[str, str]:
    """Returns the names of the image feature and the mask feature.

    Raises:
      UserError: the data set has no masks.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    images = [k for k, f in features.items() if isinstance(f, tfds.features.Image)]
    masks = [k for k in images if isinstance(features[k], tfds.features.LabeledImage)]
    masks += [key for key in _MASK_KEYS if key in images and key not in masks]
    images = [key for key in images if key not in masks]
    if not images or not masks:
        raise UserError(no_masks(name))
    images.sort(key=lambda key: key not in (builder.info.supervised_keys or ()))
    return images[0], masks[0]


def no_masks(name: str) -> str:
    """Returns the error for a data set without masks."""
    return (
        f"data.name={name} has no masks, as task=segmentation needs: take digit_scenes, "
        f"folder:PATH, or of TFDS {', '.join(KNOWN)}."
    )


def mask_values(name: str, builder: object, mask_key: str) -> MaskValues:
    """Returns the meaning of the values of a prepared data set's masks.

    If nothing defines it, all masks are read, and classes are named by their numbers.

    Raises:
      UserError: values of masks cannot be labels.
    """
    import tensorflow_datasets as tfds

    plain = name.split(":")[0].split("/")[0]
    if plain in KNOWN:
        return KNOWN[plain]
    feature = builder.info.features[mask_key]
    if isinstance(feature, tfds.features.LabeledImage) and feature.num_classes:
        return MaskValues(tuple(feature.names))
    if not builder.is_prepared():
        raise UserError(
            f"What the masks of data.name={name} hold is known once it is prepared: prepare it."
        )
    present = np.zeros(2**16, bool)
    for split in builder.info.splits:
        for record in Records(builder, split, (mask_key,), decoded=mask_key):
            present[np.unique(record[mask_key])] = True
    labels = np.flatnonzero(present)
    labels = labels[labels != IGNORE]
    # Annotations of other kinds, e.g. votes from 0 to 255, use few of the values below the largest.
    if len(labels) < 2 or labels[-1] >= IGNORE or 2 * len(labels) <= labels[-1]:
        raise UserError(
            f"data.name={name}: the values of its '{mask_key}' are no labels from 0 on, but "
            f"{', '.join(map(str, labels[:8]))}{', ...' if len(labels) > 8 else ''}."
        )
    return MaskValues(tuple(map(str, range(labels[-1] + 1))))
