"""Segmentation data sets of TFDS: which of their features is the mask, and what its values mean."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cnnlab.data.image import fit_array
from cnnlab.data.mask_file import fit_mask
from cnnlab.data.source import IGNORE, ArraySource, Example
from cnnlab.errors import UserError

# What masks are called where TFDS does not mark them as such.
_MASK_KEYS = ("segmentation_mask", "segmentation_label", "annotation", "mask")


@dataclasses.dataclass(frozen=True)
class MaskValues:
    """What the values of masks mean.

    Attributes:
      names: of the classes, in the order of their labels.
      values: the value of each class; None where values are labels. Others than these are ignored.
    """

    names: tuple[str, ...]
    values: tuple[int, ...] | None = None

    def labels(self, mask: np.ndarray) -> np.ndarray:
        """Labels of a mask [height, width, channels], uint8 [height, width].

        Raises:
          UserError: a value that is no label.
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


class TfdsMaskSource:
    """Records of one split with their masks, decoded when asked for."""

    def __init__(
        self,
        records: Sequence,
        image_key: str,
        mask_key: str,
        shape: tuple[int, int, int],
        values: MaskValues,
    ):
        self._records, self._shape, self._values = records, shape, values
        self._image_key, self._mask_key = image_key, mask_key

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        record = self._records[index]
        image, labels = record[self._image_key], self._values.labels(record[self._mask_key])
        if image.shape[:2] != labels.shape:
            raise UserError(
                f"Example {index} has an image of {image.shape[:2]} pixels and a mask of "
                f"{labels.shape}."
            )
        return {"image": fit_array(image, self._shape), "label": fit_mask(labels, self._shape)}

    def decode(self) -> ArraySource:
        """All of them, in memory."""
        images = np.empty((len(self), *self._shape), np.uint8)
        labels = np.empty(images.shape[:3], np.uint8)
        for index in range(len(self)):
            example = self[index]
            images[index], labels[index] = example["image"], example["label"]
        return ArraySource(images, labels)


def image_and_mask_keys(name: str, builder: object) -> tuple[str, str]:
    """Names of the image and of the mask feature.

    Raises:
      UserError: a set without masks.
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
    """What to say of a set that cannot serve segmentation."""
    return (
        f"data.name={name} has no masks, as task=segmentation needs: take digit_scenes, "
        f"folder:PATH, or of TFDS {', '.join(KNOWN)}."
    )


def mask_values(name: str, builder: object, mask_key: str) -> MaskValues:
    """What the values of a prepared set's masks mean.

    Where nothing says it, all masks are read, and classes are named by their numbers.

    Raises:
      UserError: masks whose values cannot be labels.
    """
    import tensorflow_datasets as tfds

    plain = name.split(":")[0].split("/")[0]
    if plain in KNOWN:
        return KNOWN[plain]
    feature = builder.info.features[mask_key]
    if isinstance(feature, tfds.features.LabeledImage) and feature.num_classes:
        return MaskValues(tuple(feature.names))
    present = np.zeros(2**16, bool)
    skip, image_type = tfds.decode.SkipDecoding(), tfds.features.Image
    others = [k for k, f in builder.info.features.items() if isinstance(f, image_type)]
    decoders = {key: skip for key in others if key != mask_key}
    for split in builder.info.splits:
        for record in builder.as_data_source(split=split, decoders=decoders):
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
