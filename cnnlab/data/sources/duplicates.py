"""Finds files with the same bytes in several splits, which would leak training data."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cnnlab.data.source import Dataset
from cnnlab.data.sources.files import find_file, relative_names

_SHOWN = 3
_END = 4096  # bytes, in which files of one size differ nearly always

# The split of a file, and the file.
Copy = tuple[str, Path]


def find_copies(splits: Mapping[str, Sequence[Path]]) -> list[list[Copy]]:
    """Returns groups of files with the same bytes in more than one split.

    Few files are read: the last 4 KiB of files with the same size, and the whole files if these
    agree.

    Args:
      splits: files of each split.
    """
    groups: Iterable[list[Copy]] = [
        [(split, path) for split, paths in splits.items() for path in paths]
    ]
    for key in (_size, _end, _digest):
        groups = [parted for group in groups for parted in _parted(group, key)]
    return list(groups)


def _parted(group: list[Copy], key: Callable[[Path], Hashable]) -> list[list[Copy]]:
    with ThreadPoolExecutor() as pool:
        keys = pool.map(lambda copy: key(copy[1]), group)
    found: dict[Hashable, list[Copy]] = defaultdict(list)
    for value, copy in zip(keys, group, strict=True):
        found[value].append(copy)
    return [copies for copies in found.values() if len({split for split, _ in copies}) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _end(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _END, 0))
        return file.read()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def with_copies(dataset: Dataset, root: Path) -> Dataset:
    """Adds counts of files in several splits to a data set, and a note that names some."""
    files = {
        split: [path for name in names if (path := find_file(root, name)) is not None]
        for split, names in dataset.paths.items()
    }
    groups = find_copies(files)
    if not groups:
        return dataset
    shown = "; ".join(
        " and ".join(f"'{relative_names([path], root)[0]}' ({split})" for split, path in group)
        for group in groups[:_SHOWN]
    )
    more = f"; and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    info = dataclasses.replace(dataset.info, copies=copies_of_splits(groups))
    notes = (*dataset.notes, f"files with the same bytes: {shown}{more}.")
    return dataclasses.replace(dataset, info=info, notes=notes)


def copies_of_splits(groups: Sequence[Sequence[Copy]]) -> dict[str, int]:
    """Number of files that are in two splits, by their names, e.g. `of test in train`."""
    counts: dict[str, int] = {}
    order = ("test", "validation", "train")
    for number, first in enumerate(order):
        for second in order[number + 1 :]:
            count = sum(
                sum(split == first for split, _ in group)
                for group in groups
                if any(split == second for split, _ in group)
            )
            if count:
                counts[f"of {first} in {second}"] = count
    return counts
