"""Folders of the user's own images: `folder:PATH` with `PATH/train/CLASS/*.png`.

`PATH/test/CLASS` and `PATH/validation/CLASS` (or `val`) are taken where they are there; where
there is no test split, or classes lie directly in PATH, a fixed stratified fifth is held out.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cnnlab.data.image import EXTENSIONS, image_size_and_mode, read_image
from cnnlab.data.source import ArraySource, Example, Source
from cnnlab.errors import UserError

# Names of folders, and of the splits that lie in them.
SPLITS = {"train": "train", "test": "test", "validation": "validation", "val": "validation"}
# ImageNet's customary size, for images that do not agree on one.
_DEFAULT_SIZE = 224


class FolderSource:
    """Image files, decoded when asked for.

    Attributes:
      paths: of the files.
      labels: int32 [examples].
      shape: height, width, channels that images are brought to.
    """

    def __init__(self, paths: Sequence[Path], labels: np.ndarray, shape: tuple[int, int, int]):
        self.paths, self.labels, self.shape = list(paths), labels, shape

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Example:
        return {"image": read_image(self.paths[index], self.shape), "label": self.labels[index]}

    def read_many(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `cnnlab.data.source.read_many`."""
        images = np.empty((len(indices), *self.shape), np.uint8)
        for row, index in enumerate(indices):
            images[row] = read_image(self.paths[index], self.shape)
        return images, self.labels[indices]

    def take(self, indices: np.ndarray) -> "FolderSource":
        """The examples with these numbers, in this order."""
        return FolderSource([self.paths[i] for i in indices], self.labels[indices], self.shape)

    def decode(self) -> ArraySource:
        """All of them, in memory."""
        with ThreadPoolExecutor() as pool:
            images = np.stack(list(pool.map(lambda p: read_image(p, self.shape), self.paths)))
        return ArraySource(images, self.labels)


def load_splits(
    folder: Path, image_size: int | None
) -> tuple[dict[str, Source], tuple[str, ...], tuple[int, int, int]]:
    """Finds the splits, their classes and the shape of the images.

    Args:
      folder: PATH.
      image_size: height and width; None takes the images' own where all have the same, else 224.

    Raises:
      UserError: a missing or empty folder, classes that the training split does not have, a file
        that is no image.
    """
    if not folder.is_dir():
        raise UserError(f"data.name=folder:{folder}: there is no such folder.")
    parts = {SPLITS[p.name]: p for p in subfolders(folder) if p.name in SPLITS}
    if "train" not in parts:
        if parts:
            raise UserError(f"{folder} has {sorted(parts)} but no folder 'train' beside it.")
        parts = {"train": folder}
    class_names = tuple(path.name for path in subfolders(parts["train"]))
    if class_names == ("images", "masks"):
        raise UserError(
            f"{parts['train']} has images and masks, not one folder for each class: set "
            "--config.task=segmentation to learn the masks."
        )
    if not class_names:
        raise UserError(
            f"{parts['train']} has no folders of classes: put images into "
            f"{parts['train']}/CLASS/, one folder for each class."
        )
    files = {split: _files(path, class_names) for split, path in parts.items()}
    shape = common_shape([path for paths, _ in files.values() for path in paths], image_size)
    splits: dict[str, Source] = {
        split: FolderSource(paths, labels, shape) for split, (paths, labels) in files.items()
    }
    return splits, class_names, shape


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(folder: Path, class_names: Sequence[str]) -> tuple[list[Path], np.ndarray]:
    """Image files of one split and their labels."""
    paths, labels = [], []
    for path in subfolders(folder):
        if path.name not in class_names:
            raise UserError(
                f"{path} is a class that the training split does not have; it has "
                f"{', '.join(class_names)}."
            )
        # Hidden files are no images of the user's: macOS leaves a `._a.jpg` beside each `a.jpg`.
        images = sorted(
            p
            for p in path.rglob("*")
            if p.suffix.lower() in EXTENSIONS and not p.name.startswith(".")
        )
        if not images:
            raise UserError(
                f"{path} has no images (of types {' '.join(sorted(EXTENSIONS))}): add some, or "
                "remove the folder."
            )
        paths += images
        labels += [class_names.index(path.name)] * len(images)
    if not paths:
        raise UserError(f"{folder} has no folders of classes, and is a split.")
    return paths, np.array(labels, np.int32)


def common_shape(paths: Sequence[Path], image_size: int | None) -> tuple[int, int, int]:
    """Common shape; reads every file's header, so that a broken one is named before training."""
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(image_size_and_mode, paths))
    sizes = {size for size, _ in found}
    channels = 1 if all(mode == "L" for _, mode in found) else 3
    if image_size is not None:
        return image_size, image_size, channels
    if len(sizes) == 1:
        width, height = sizes.pop()
        return height, width, channels
    return _DEFAULT_SIZE, _DEFAULT_SIZE, channels
