"""Folders of the user's own images and masks: `folder:PATH` for segmentation.

`PATH/images/NAME.jpg` (or another image type) belongs to `PATH/masks/NAME.png`. The user's own
splits are in `PATH/train/images` and `PATH/train/masks`, also for `test` and `validation`, under
any of the names in `files.SPLITS`. If there is no test split, about a fifth is held out by the
images' paths below PATH. `PATH/palette.txt` or `PATH/classes.txt` defines the masks' values
(`mask_file`). Everything is read once before training, so that mistakes are reported with their
file.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cnnlab.data.geometry.form import Wanted
from cnnlab.data.geometry.image_source import ImageSource
from cnnlab.data.geometry.placement import Geometry, Size
from cnnlab.data.image import EXTENSIONS, inspect_image
from cnnlab.data.mask_file import MaskClasses, read_classes, read_mask
from cnnlab.data.source import IGNORE, Source
from cnnlab.data.sources.files import (
    SPLITS,
    FolderSplits,
    find_images,
    find_splits,
    normal,
    subfolders,
)
from cnnlab.data.sources.folder import common_form
from cnnlab.data.sources.mask_values import single_class_notes, understand
from cnnlab.errors import UserError

_IMAGES, _MASKS = "images", "masks"
Pairs = list[tuple[Path, Path]]


class MaskFolderSource(ImageSource):
    """Files of images and masks, decoded on demand.

    Attributes:
      pairs: image and mask file of each example.
      classes: meaning of the masks' pixels.
    """

    maps = True

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        shape: tuple[int, int, int],
        classes: MaskClasses,
        dtype: str = "uint8",
        geometry: Geometry | None = None,
        sizes: Mapping[Path, Size] | None = None,
    ):
        """Arguments are the attributes, except `sizes`: height and width of each image by path."""
        self.pairs, self.classes = list(pairs), classes
        super().__init__(shape, dtype, geometry, sizes and np.array([sizes[i] for i, _ in pairs]))

    @property
    def paths(self) -> list[Path]:
        """Returns the image files."""
        return [image for image, _ in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def _fetch(self, indices: Sequence[int]) -> list[None]:
        return [None] * len(indices)

    def _file(self, index: int, record: None) -> tuple[Path, None]:
        return self.pairs[index][0], None

    def _label(self, index: int, record: None) -> np.ndarray:
        return read_mask(self.pairs[index][1], self.classes)

    def take(self, indices: np.ndarray) -> "MaskFolderSource":
        """Returns the examples with these indices, in this order."""
        other = self._taken(indices)
        other.pairs = [self.pairs[i] for i in indices]
        return other


def load_splits(folder: Path, wanted: Wanted, *, mask_suffix: str = "") -> FolderSplits:
    """Finds the splits, their classes and the shape of the images, and checks every file.

    Args:
      folder: PATH.
      wanted: requested size of images.
      mask_suffix: suffix of a mask's name after that of its image, e.g. `_mask`; other files next
        to the masks are left out.

    Raises:
      UserError: a folder is missing or empty, an image has no mask or the reverse, a mask has
        another size than its image, or `read_classes` or `read_mask` fails.
    """
    if not folder.is_dir():
        raise UserError(f"data.name=folder:{folder}: there is no such folder.")
    classes = read_classes(folder)
    left_out: Counter[str] = Counter()
    pairs = {split: _pairs(path, mask_suffix, left_out) for split, path in _parts(folder).items()}
    everything = [pair for found in pairs.values() for pair in found]
    with ThreadPoolExecutor() as pool:
        present = np.stack(list(pool.map(lambda pair: _check(*pair, classes), everything)))
    classes, names, present = understand(folder, classes, everything, present)
    form, sizes = common_form([image for image, _ in everything], wanted)
    splits: dict[str, Source] = {
        split: MaskFolderSource(found, form.eval_shape, classes, form.dtype, form.geometry, sizes)
        for split, found in pairs.items()
    }
    notes = single_class_notes(names, [mask for _, mask in everything], present)
    return FolderSplits(splits, names, form, left_out, folder, notes)


def _parts(folder: Path) -> dict[str, Path]:
    """The folder of each split that has one."""
    names = [path.name for path in subfolders(folder)]
    if _IMAGES in names or _MASKS in names:
        splits = sorted(SPLITS[name.lower()] for name in names if name.lower() in SPLITS)
        if splits:
            raise UserError(
                f"{folder} has {_IMAGES} or {_MASKS} of its own beside the splits {splits}: move "
                "them into a split."
            )
        return {"train": folder}
    parts = find_splits(folder)
    if "train" not in parts:
        raise UserError(
            f"{folder} has neither {_IMAGES}/ and {_MASKS}/ nor train/{_IMAGES}/ and "
            f"train/{_MASKS}/, as segmentation needs."
        )
    return parts


def _pairs(folder: Path, suffix: str, left_out: Counter[str]) -> Pairs:
    """Images and masks of one split with the same name, up to the suffix of masks."""
    images = _files(folder / _IMAGES, "", left_out)
    masks = _files(folder / _MASKS, suffix, left_out)
    for found, other, kind in ((images, masks, "mask"), (masks, images, "image")):
        alone = sorted(found.keys() - other.keys())
        if alone:
            name = alone[0] + (suffix if kind == "mask" else "")
            where = folder / (_MASKS if kind == "mask" else _IMAGES) / name
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            hint = "" if suffix else _suffix_hint(images, masks)
            raise UserError(f"'{found[alone[0]]}'{more} has no {kind} '{where}.*'{hint}.")
    return [(images[name], masks[name]) for name in sorted(images)]


def _suffix_hint(images: Collection[str], masks: Collection[str]) -> str:
    """Suggests the suffix that pairs each image with a mask, if there is one."""
    first = min(images)
    for mask in sorted(masks):
        suffix = mask.removeprefix(first)
        if suffix != mask and all(f"{image}{suffix}" in masks for image in images):
            return f"; if masks are named '{mask}', set data.mask_suffix={suffix}"
    return ""


def _files(folder: Path, suffix: str, left_out: Counter[str]) -> dict[str, Path]:
    """Image files by their names within the folder, without suffix and file extension."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: segmentation needs images and masks.")
    files: dict[str, Path] = {}
    for path in find_images(folder, left_out):
        stem = normal(path.relative_to(folder).with_suffix("").as_posix())
        if not stem.endswith(suffix):
            left_out[f"without {suffix}"] += 1
            continue
        stem = stem.removesuffix(suffix)
        if stem in files:
            raise UserError(f"'{files[stem]}' and '{path}' have the same name: remove one.")
        files[stem] = path
    if not files:
        kind = f" whose names end with {suffix}" if suffix else ""
        types = " ".join(sorted(EXTENSIONS))
        raise UserError(f"{folder} has no images{kind} (of types {types}).")
    return files


def _check(image: Path, mask: Path, classes: MaskClasses) -> np.ndarray:
    """Returns which values a mask has, bool [256]; checks the pair of files."""
    labels = read_mask(mask, classes)
    height, width, *_ = inspect_image(image)
    if labels.shape != (height, width):
        raise UserError(
            f"'{mask}' has {labels.shape[1]}x{labels.shape[0]} pixels, and its image '{image}' has "
            f"{width}x{height}: they must have the same size."
        )
    return np.bincount(labels.ravel(), minlength=IGNORE + 1) > 0
