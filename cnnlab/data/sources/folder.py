"""Folders of the user's own images: `folder:PATH` with `PATH/train/CLASS/*.png`.

`PATH/test/CLASS` and `PATH/validation/CLASS` are used if they exist, under any of the names in
`cnnlab.data.sources.files.SPLITS`. If there is no test split, or classes are directly in PATH,
about a fifth is held out by the images' paths below PATH, so that no image changes its split when
others are added.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cnnlab.data.geometry.form import Form, Wanted, choose_form
from cnnlab.data.geometry.image_source import ImageSource, Relabel
from cnnlab.data.geometry.placement import Geometry, Size
from cnnlab.data.image import EXTENSIONS, PixelInfo, inspect_image
from cnnlab.data.source import Source
from cnnlab.data.sources.files import FolderSplits, find_images, find_splits, normal, subfolders
from cnnlab.errors import UserError


class FolderSource(ImageSource):
    """Image files, decoded on demand.

    Attributes:
      paths: paths of the files.
      labels: int32 [examples], or [examples, classes].
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: np.ndarray,
        shape: tuple[int, int, int],
        dtype: str = "uint8",
        geometry: Geometry | None = None,
        sizes: Mapping[Path, Size] | None = None,
    ):
        """Arguments are the attributes, except `sizes`: height and width of each file by path."""
        self.paths, self.labels = list(paths), labels
        super().__init__(shape, dtype, geometry, sizes and np.array([sizes[p] for p in paths]))

    def __len__(self) -> int:
        return len(self.paths)

    def _fetch(self, indices: Sequence[int]) -> list[None]:
        return [None] * len(indices)

    def _file(self, index: int, record: None) -> tuple[Path, None]:
        return self.paths[index], None

    def _label(self, index: int, record: None) -> np.ndarray:
        return self.labels[index]

    def take(self, indices: np.ndarray) -> "FolderSource":
        """Returns the examples with these indices, in this order."""
        other = self._taken(indices)
        other.paths, other.labels = [self.paths[i] for i in indices], self.labels[indices]
        return other

    def relabelled(self, relabel: Relabel) -> "FolderSource":
        """Returns the same examples with each label replaced by `relabel(label)`."""
        other = super().relabelled(relabel)
        other._relabel = None  # of labels that are replaced already
        other.labels = np.stack([relabel(label) for label in self.labels])
        return other


def load_splits(folder: Path, wanted: Wanted) -> FolderSplits:
    """Finds the splits, their classes, the shape of the images, and how they are resized.

    Args:
      folder: PATH.
      wanted: requested size of images.

    Raises:
      UserError: a folder is missing or empty, the training split lacks a class, or a file is not
        an image.
    """
    if not folder.is_dir():
        raise UserError(f"data.name=folder:{folder}: there is no such folder.")
    parts = find_splits(folder)
    if "train" not in parts:
        if parts:
            raise UserError(f"{folder} has {sorted(parts)} but no folder 'train' beside it.")
        parts = {"train": folder}
    class_names = tuple(sorted(normal(path.name) for path in subfolders(parts["train"])))
    if class_names == ("images", "masks"):
        raise UserError(
            f"{parts['train']} has images and masks, not one folder for each class: set "
            "task=segmentation to learn the masks."
        )
    if not class_names:
        raise UserError(
            f"{parts['train']} has no folders of classes: put images into "
            f"{parts['train']}/CLASS/, one folder for each class."
        )
    left_out: Counter[str] = Counter()
    files = {split: _files(path, class_names, left_out) for split, path in parts.items()}
    everything = [path for paths, _ in files.values() for path in paths]
    form, sizes = common_form(everything, wanted)
    splits: dict[str, Source] = {
        split: FolderSource(paths, labels, form.eval_shape, form.dtype, form.geometry, sizes)
        for split, (paths, labels) in files.items()
    }
    return FolderSplits(splits, class_names, form, left_out, folder)


def _files(
    folder: Path, class_names: Sequence[str], left_out: Counter[str]
) -> tuple[list[Path], np.ndarray]:
    """Image files of one split and their labels."""
    paths, labels = [], []
    for path in subfolders(folder):
        name = normal(path.name)
        if name not in class_names:
            raise UserError(
                f"{path} is a class that the training split does not have; it has "
                f"{', '.join(class_names)}."
            )
        images = find_images(path, left_out)
        if not images:
            raise UserError(
                f"{path} has no images (of types {' '.join(sorted(EXTENSIONS))}): add some, or "
                "remove the folder."
            )
        paths += images
        labels += [class_names.index(name)] * len(images)
    if not paths:
        raise UserError(f"{folder} has no folders of classes, and is a split.")
    beside = sum(p.is_file() and p.suffix.lower() in EXTENSIONS for p in folder.iterdir())
    if beside:
        left_out["beside the folders of classes"] += beside
    return paths, np.array(labels, np.int32)


def common_form(paths: Sequence[Path], wanted: Wanted) -> tuple[Form, dict[Path, Size]]:
    """Returns how images are resized, and the height and width of each file.

    Reads every file's header, so that broken files are named before training.

    Raises:
      UserError: a file is not an image, or files have different dtypes or channels.
    """
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(inspect_image, paths))
    examples = {}
    for path, info in zip(paths, found, strict=True):
        examples.setdefault((info.dtype, _kind(info.channels)), (path, info))
    if len(examples) > 1:
        (first, one), (second, other) = list(examples.values())[:2]
        raise UserError(
            f"'{first}' has {_words(one)}, and '{second}' {_words(other)}: save all images in one "
            "pixel type with the same channels."
        )
    sizes = {p: (info.height, info.width) for p, info in zip(paths, found, strict=True)}
    channels = max(info.channels for info in found)
    return choose_form(set(sizes.values()), channels, found[0].dtype, wanted), sizes


def _kind(channels: int) -> str | int:
    """The kind of channels that images must share; gray is repeated if others have color."""
    return "gray or color" if channels in (1, 3) else channels


def _words(info: PixelInfo) -> str:
    return f"{info.channels} channel{'s' if info.channels != 1 else ''} of {info.dtype}"
