"""Finds splits and image files in a user's folder, and counts files that are left out."""

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnnlab.data.geometry.form import Form
from cnnlab.data.image import EXTENSIONS
from cnnlab.data.source import Source
from cnnlab.errors import UserError

# Names of folders, in any letter case, and of the splits that lie in them.
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# Left behind by Synology, macOS and Windows; these folders hold no images of the user's.
_SYSTEM = frozenset({"@eadir", "__macosx", "thumbs.db", "desktop.ini"})


class FolderSplits(NamedTuple):
    """Result of the readers of folders.

    Attributes:
      splits: sources that have `paths`; one of them is `train`.
      class_names: names of the classes in the order of the labels.
      form: how images are resized.
      left_out: number of files that are not read, by reason.
      root: folder that names of files are relative to.
      notes: sentences for the user about the data.
    """

    splits: dict[str, Source]
    class_names: tuple[str, ...]
    form: Form
    left_out: Mapping[str, int]
    root: Path
    notes: tuple[str, ...] = ()


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden or belongs to the system."""
    return name.startswith(".") or name.lower() in _SYSTEM


def subfolders(folder: Path) -> list[Path]:
    """Returns the folders in a folder, including links to folders, without hidden ones."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))


def normal(name: str) -> str:
    """Normalises a name's Unicode form, since some file systems decompose accented letters."""
    return unicodedata.normalize("NFC", name)


def relative_names(paths: Iterable[Path], root: Path) -> list[str]:
    """Returns the paths of files below a folder, with `/`, in one Unicode form.

    Raises:
      UserError: the names of two files differ only in their Unicode form.
    """
    found: dict[str, Path] = {}
    for path in paths:
        name = normal(Path(os.path.relpath(path, root)).as_posix())
        if name in found:
            raise UserError(
                f"'{found[name]}' and '{path}' have one name in two Unicode forms: rename one."
            )
        found[name] = path
    return list(found)


def find_file(root: Path, name: str) -> Path | None:
    """Returns the file of that name below a folder, in any Unicode form, or None."""
    path = root / name
    if path.is_file():
        return path
    if name.isascii():
        return None
    place = root
    for part in Path(name).parts:
        if not place.is_dir():
            return None
        beside = {normal(entry.name): entry for entry in place.iterdir()}
        place = beside.get(normal(part), place / part)
    return place if place.is_file() else None


def find_splits(folder: Path) -> dict[str, Path]:
    """Returns the folder of each split that has one.

    Raises:
      UserError: a split has two folders, or there are folders with images next to the splits.
    """
    found: dict[str, Path] = {}
    others = []
    for path in subfolders(folder):
        split = SPLITS.get(path.name.lower())
        if split is None:
            others.append(path)
        elif split in found:
            raise UserError(
                f"{folder} has both '{found[split].name}' and '{path.name}' for the {split} split: "
                "move their images into one folder."
            )
        else:
            found[split] = path
    if "train" in found:
        for other in others:
            if find_images(other, Counter()):
                raise UserError(
                    f"{folder} has the folder '{other.name}' with images beside the splits "
                    f"{', '.join(path.name for path in found.values())}: move it into a split, or "
                    "elsewhere."
                )
    return found


def find_images(folder: Path, left_out: Counter[str]) -> list[Path]:
    """Returns image files in a folder and its subfolders, sorted; links to folders are followed.

    Args:
      folder: folder to search.
      left_out: counts the files that are not images, by reason.
    """
    return sorted(_walk(folder, left_out, ()))


def _walk(folder: Path, left_out: Counter[str], parents: tuple[str, ...]) -> list[Path]:
    real = os.path.realpath(folder)
    if real in parents:  # a link to a folder that it lies in
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name):
            left_out["hidden"] += 1
        elif path.is_dir():
            found += _walk(path, left_out, (*parents, real))
        elif not path.is_file():
            left_out["not a regular file"] += 1
        elif path.suffix.lower() not in EXTENSIONS:
            left_out[f"of type {path.suffix.lower() or 'unknown'}"] += 1
        else:
            found.append(path)
    return found


class InputFile(NamedTuple):
    """An image to predict.

    Attributes:
      path: path of the file.
      name: its path below the given folder, or its own name, without the suffix.
    """

    path: str
    name: str


def input_files(arguments: Sequence[str], left_out: Counter[str]) -> list[InputFile]:
    """Returns image files from paths, folders, or patterns such as `*.png`.

    Args:
      arguments: paths and patterns; folders stand for all images in them and their subfolders.
      left_out: counts the files in folders that are not images, by reason.

    Raises:
      UserError: a folder has no images, or no file matches a pattern.
    """
    found = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            images = find_images(path, left_out)
            names = [image.relative_to(path).with_suffix("").as_posix() for image in images]
            if not images:
                raise UserError(
                    f"'{path}' has no images (of types {' '.join(sorted(EXTENSIONS))})."
                )
        elif path.exists() or not glob.has_magic(argument):
            images, names = [path], [path.stem]
        else:
            matching = sorted(glob.glob(argument, recursive=True))
            images = [image for image in map(Path, matching) if image.is_file()]
            names = [image.stem for image in images]
            if not images:
                raise UserError(f"'{argument}' matches no file.")
        found += [InputFile(str(image), name) for image, name in zip(images, names, strict=True)]
    return found
