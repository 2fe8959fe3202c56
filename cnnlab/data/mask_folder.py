"""Folders of the user's own images and masks: `folder:PATH` for segmentation.

`PATH/images/NAME.jpg` (or any other type of image) goes with `PATH/masks/NAME.png`. Splits of the
user's own lie in `PATH/train/images` and `PATH/train/masks`, and likewise in `test` and
`validation` (or `val`); where there is no test split, a fixed random fifth is held out.
`PATH/palette.txt` or `PATH/classes.txt` says what the masks mean; see `mask_file`. Everything is
read once before training begins, so that a mistake is named with its file.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cnnlab.data.folder import SPLITS, common_shape, subfolders
from cnnlab.data.image import EXTENSIONS, image_size_and_mode, read_image
from cnnlab.data.mask_file import MaskClasses, fit_mask, read_classes, read_mask
from cnnlab.data.source import IGNORE, ArraySource, Example, Source
from cnnlab.errors import UserError

_IMAGES, _MASKS = "images", "masks"
Pairs = list[tuple[Path, Path]]


class MaskFolderSource:
    """Files of images and masks, decoded when asked for.

    Attributes:
      pairs: the files of each example.
      shape: height, width, channels that images are brought to, and masks with them.
      classes: what the pixels of masks mean.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        shape: tuple[int, int, int],
        classes: MaskClasses,
    ):
        self.pairs, self.shape, self.classes = list(pairs), shape, classes

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        image, mask = self.pairs[index]
        return {
            "image": read_image(image, self.shape),
            "label": fit_mask(read_mask(mask, self.classes), self.shape),
        }

    def take(self, indices: np.ndarray) -> "MaskFolderSource":
        """The examples with these numbers, in this order."""
        return MaskFolderSource([self.pairs[i] for i in indices], self.shape, self.classes)

    def decode(self) -> ArraySource:
        """All of them, in memory."""
        with ThreadPoolExecutor() as pool:
            examples = list(pool.map(self.__getitem__, range(len(self))))
        return ArraySource(
            np.stack([example["image"] for example in examples]),
            np.stack([example["label"] for example in examples]),
        )


def load_splits(
    folder: Path, image_size: int | None
) -> tuple[dict[str, Source], tuple[str, ...], tuple[int, int, int]]:
    """Finds the splits, their classes and the shape of the images, and checks every file.

    Args:
      folder: PATH.
      image_size: height and width; None takes the images' own where all have the same, else 224.

    Raises:
      UserError: a missing or empty folder, an image without a mask or the reverse, a mask of
        another size than its image, and what `read_classes` and `read_mask` raise.
    """
    if not folder.is_dir():
        raise UserError(f"data.name=folder:{folder}: there is no such folder.")
    classes = read_classes(folder)
    pairs = {split: _pairs(path) for split, path in _parts(folder).items()}
    everything = [pair for found in pairs.values() for pair in found]
    with ThreadPoolExecutor() as pool:
        present = np.any(list(pool.map(lambda pair: _check(*pair, classes), everything)), axis=0)
    labels = np.flatnonzero(present)
    if len(labels) < 2 and (classes.names is None or len(classes.names) > 1):
        raise UserError(
            f"The masks of {folder} have no labels but {_listed(labels)}, so there is nothing to "
            f"tell apart ({IGNORE} is ignored: write a class as its number, e.g. 1)."
        )
    names = classes.names or tuple(str(label) for label in range(labels[-1] + 1))
    shape = common_shape([image for image, _ in everything], image_size)
    splits: dict[str, Source] = {
        split: MaskFolderSource(found, shape, classes) for split, found in pairs.items()
    }
    return splits, names, shape


def _parts(folder: Path) -> dict[str, Path]:
    """The folder of each split that has one."""
    names = [path.name for path in subfolders(folder)]
    parts = {SPLITS[name]: folder / name for name in names if name in SPLITS}
    if _IMAGES in names or _MASKS in names:
        if parts:
            raise UserError(
                f"{folder} has {_IMAGES} or {_MASKS} of its own beside the splits {sorted(parts)}: "
                "move them into a split."
            )
        return {"train": folder}
    if "train" not in parts:
        raise UserError(
            f"{folder} has neither {_IMAGES}/ and {_MASKS}/ nor train/{_IMAGES}/ and "
            f"train/{_MASKS}/, as segmentation needs."
        )
    return parts


def _pairs(folder: Path) -> Pairs:
    """Images and masks of one split that have the same name."""
    images, masks = (_files(folder / name) for name in (_IMAGES, _MASKS))
    for found, other, kind in ((images, masks, "mask"), (masks, images, "image")):
        alone = sorted(found.keys() - other.keys())
        if alone:
            where = folder / (_MASKS if kind == "mask" else _IMAGES) / alone[0]
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise UserError(f"'{found[alone[0]]}'{more} has no {kind} '{where}.*'.")
    return [(images[name], masks[name]) for name in sorted(images)]


def _files(folder: Path) -> dict[str, Path]:
    """Image files by their names within the folder, without the suffix."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: segmentation needs images and masks.")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if hidden or path.suffix.lower() not in EXTENSIONS:
            continue
        stem = name.with_suffix("").as_posix()
        if stem in files:
            raise UserError(f"'{files[stem]}' and '{path}' have the same name: remove one.")
        files[stem] = path
    if not files:
        raise UserError(f"{folder} has no images (of types {' '.join(sorted(EXTENSIONS))}).")
    return files


def _check(image: Path, mask: Path, classes: MaskClasses) -> np.ndarray:
    """Which labels a mask has, bool [255]; raises what there is to find in one pair of files."""
    labels = read_mask(mask, classes)
    (width, height), _ = image_size_and_mode(image)
    if labels.shape != (height, width):
        raise UserError(
            f"'{mask}' has {labels.shape[1]}x{labels.shape[0]} pixels, and its image '{image}' has "
            f"{width}x{height}: they must have the same size."
        )
    return np.bincount(labels.ravel(), minlength=IGNORE + 1)[:IGNORE] > 0


def _listed(labels: np.ndarray) -> str:
    return " and ".join(map(str, labels)) or f"{IGNORE}"
