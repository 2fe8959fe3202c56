"""Tables of images and labels as CSV: `folder:PATH` with `PATH/labels.csv`, or a table's path.

The table has a column `path` (below the folder of the table), an optional column `split`, and one
label for each image (classification):

    path,label                path,label,split
    a.jpg,cat                 a.jpg,cat,train
    b.jpg,dog                 b.jpg,dog,test

or several (multilabel): either one column of 0 and 1 for each class, or a single column `labels`
with the names of an image's classes, separated by spaces or semicolons:

    path,cat,dog,snow        path,split,labels
    a.jpg,1,0,1              a.jpg,train,cat snow
    b.jpg,0,0,0              b.jpg,test,
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnlab.data.geometry.form import Wanted
from cnnlab.data.source import Source
from cnnlab.data.sources.files import SPLITS, FolderSplits, find_file, find_images, normal
from cnnlab.data.sources.folder import FolderSource, common_form
from cnnlab.errors import UserError

TABLE = "labels.csv"
_Rows = Sequence[Mapping[str, str]]


def is_table(path: Path) -> bool:
    """Whether `folder:PATH` is or contains a table of labels."""
    return path.is_file() or (path / TABLE).is_file()


def load_splits(path: Path, wanted: Wanted, *, several: bool) -> FolderSplits:
    """Reads the table; images are read on demand.

    Args:
      path: path of the table, or of a folder with `labels.csv`.
      wanted: requested size of images.
      several: whether images have several labels instead of one.

    Raises:
      UserError: the table is missing or malformed, or a file is missing or not an image.
    """
    table = path if path.is_file() else path / TABLE
    if not table.is_file():
        raise UserError(
            f"data.name=folder:{path}: task=multilabel reads {table}, which is not there: write "
            "a line 'path,CLASS,CLASS,...' and a line for each image, e.g. 'a.jpg,1,0'."
        )
    header, rows = _read(table)
    files = _files(table, rows)
    splits_of = np.array([_split(table, line, row) for line, row in enumerate(rows, start=2)])
    if "train" not in splits_of:
        raise UserError(f"{table} has no image of the split 'train'.")
    if several:
        class_names, labels = _several(table, header, rows)
    else:
        class_names, labels = _single(table, header, rows, splits_of == "train")
    form, sizes = common_form(files, wanted)
    splits: dict[str, Source] = {}
    for split in dict.fromkeys(splits_of.tolist()):
        # By path, as in folders: the order of the lines means nothing.
        chosen = sorted(np.flatnonzero(splits_of == split), key=files.__getitem__)
        splits[split] = FolderSource(
            [files[i] for i in chosen], labels[chosen], form.eval_shape, form.dtype, form.geometry,
            sizes,
        )  # fmt: skip
    left_out: Counter[str] = Counter()
    if table != path:
        others = set(find_images(path, left_out)) - set(files)
        left_out = Counter({f"not in {TABLE}": len(others)} if others else {})
    return FolderSplits(splits, class_names, form, left_out, table.parent)


def _read(table: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Names of the columns, and the rows."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="")
            rows = [row for row in reader if any(row.values())]
            header = [name.strip() for name in reader.fieldnames or ()]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} cannot be read as CSV in UTF-8: {error}.") from error
    if "path" not in header:
        raise UserError(f"{table} needs a column 'path' in its first line, got {header}.")
    if len(set(header)) < len(header):
        raise UserError(f"{table} names a column twice: {header}.")
    if not rows:
        raise UserError(f"{table} has no lines after the first.")
    found = []
    for line, row in enumerate(rows, start=2):
        values = list(row.values())
        if len(values) != len(header) or None in values:
            raise UserError(f"{table}, line {line}: expected {len(header)} values.")
        found.append(dict(zip(header, (value.strip() for value in values), strict=True)))
    return header, found


def _files(table: Path, rows: _Rows) -> list[Path]:
    """The image of each row."""
    files: dict[Path, None] = {}
    for line, row in enumerate(rows, start=2):
        path = find_file(table.parent, row["path"]) if row["path"] else None
        if path is None:
            raise UserError(
                f"{table}, line {line}: there is no file '{table.parent / row['path']}'."
            )
        if path in files:
            raise UserError(f"{table} names '{row['path']}' twice: leave one of them.")
        files[path] = None
    return list(files)


def _single(
    table: Path, header: Sequence[str], rows: _Rows, train: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names, in numerical order if they are numbers, and labels int32 [examples]."""
    if "label" not in header:
        raise UserError(
            f"{table} needs a column 'label' for classification, got {header}; set task=multilabel "
            "if an image has several labels."
        )
    names = [normal(row["label"]) for row in rows]
    if "" in names:
        raise UserError(f"{table}, line {names.index('') + 2}: the label is missing.")
    known = {name for name, trained in zip(names, train, strict=True) if trained}
    for line, name in enumerate(names, start=2):
        if name not in known:
            raise UserError(
                f"{table}, line {line}: '{name}' is a class that the training split does not have."
            )
    numbers = all(name.isdecimal() for name in known)
    class_names = tuple(sorted(known, key=lambda name: (int(name) if numbers else 0, name)))
    places = {name: label for label, name in enumerate(class_names)}
    return class_names, np.array([places[name] for name in names], np.int32)


def _several(table: Path, header: Sequence[str], rows: _Rows) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names, and labels int32 [examples, classes]."""
    columns = [name for name in header if name not in ("path", "split")]
    if columns == ["labels"]:
        named = [set(re.split(r"[\s;]+", normal(row["labels"]))) - {""} for row in rows]
        class_names = tuple(sorted(set().union(*named)))
        values = [[name in names for name in class_names] for names in named]
    else:
        class_names = tuple(map(normal, columns))
        for line, row in enumerate(rows, start=2):
            for name in columns:
                if row[name] not in ("0", "1"):
                    raise UserError(
                        f"{table}, line {line}: '{name}' must be 0 or 1, got '{row[name]}'."
                    )
        values = [[row[name] == "1" for name in columns] for row in rows]
    if not class_names:
        raise UserError(f"{table} has no classes: add a column for each, or a column 'labels'.")
    return class_names, np.array(values, np.int32)


def _split(table: Path, line: int, row: Mapping[str, str]) -> str:
    name = row.get("split", "train")
    if name.lower() not in SPLITS:
        raise UserError(
            f"{table}, line {line}: the split '{name}' must be one of {', '.join(SPLITS)}."
        )
    return SPLITS[name.lower()]
