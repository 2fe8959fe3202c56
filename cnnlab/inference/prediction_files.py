"""Predictions for image files: a batch at a time, and as a table."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.data import eval_batches
from cnnlab.data.geometry.placement import Size
from cnnlab.data.image import inspect_image
from cnnlab.data.sources.folder import FolderSource
from cnnlab.errors import UserError
from cnnlab.inference.label_maps import seen_size
from cnnlab.inference.run import Run
from cnnlab.storage.output_file import output_file

_ENDINGS = (".csv", ".jsonl")
# Sizes of images for which it is said that they are resized.
_SHOWN_SIZES = 3


def file_probabilities(run: Run, paths: Sequence[str | Path]) -> Iterator[np.ndarray]:
    """Yields the probabilities [classes] of each image, in the order of the paths.

    Images are decoded and computed `evaluation.batch_size` at a time by one compiled program, so
    that memory does not grow with their number.

    Args:
      run: of classification or multilabel.
      paths: paths of the image files.

    Raises:
      UserError: a file that cannot be read, when its turn comes.
    """
    size = run.config.evaluation.batch_size or run.config.batch_size
    source = FolderSource(
        paths,
        np.zeros(len(paths), np.int32),
        run.info.eval_shape,
        run.info.dtype,
        run.info.geometry,
    )
    for batch in eval_batches(source, batch_size=min(size, len(paths))):
        count = int(batch["mask"].sum())
        yield from run.probabilities(batch["image"])[:count]


def scaling_notes(run: Run, paths: Sequence[str | Path]) -> list[str]:
    """Says from what to what images are scaled for the network, for the first of each size.

    Args:
      run: of any task.
      paths: paths of the image files; those that cannot be read are left out.
    """
    first: dict[Size, str | Path] = {}
    for path in paths:
        with contextlib.suppress(UserError):
            header = inspect_image(path)
            first.setdefault((header.height, header.width), path)
    notes = []
    for size, path in first.items():
        if run.config.task == "segmentation":
            seen = seen_size(run.info, size)
        else:
            seen = run.info.geometry.scaled_size(size, run.info.eval_shape[:2])
        if seen != size:
            (height, width), (down, across) = size, seen
            notes.append(
                f"{path}: resized from {width}x{height} to {across}x{down} pixels, as in training."
            )
    more = len(notes) - _SHOWN_SIZES
    notes[_SHOWN_SIZES:] = [f"So are images of {more} other sizes."] if more > 0 else []
    return notes


def table_columns(task: str, class_names: Sequence[str], *, top: int) -> list[str]:
    """Columns of the predictions as CSV.

    Args:
      task: name of the run's task.
      class_names: names of the classes in the order of the labels.
      top: for classification, number of classes that are named.
    """
    if task == "segmentation":
        return ["path", "mask", "overlay", *class_names]
    if task == "multilabel":
        return ["path", "labels", "probabilities"]
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    return ["path", *(f"{kind}{rank}" for rank in ranks for kind in ("label", "probability"))]


@contextlib.contextmanager
def prediction_table(
    path: str | Path, columns: Sequence[str]
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields a function that writes a prediction to a `.csv` or `.jsonl` file, a line for each.

    The file appears whole or not at all. As CSV, shares that are not there are 0, and the classes
    of a multilabel image are joined by semicolons.

    Args:
      path: path of the file.
      columns: of the CSV, see `table_columns`.

    Raises:
      UserError: another ending, or a path that cannot be written to.
    """
    kind = Path(path).suffix.lower()
    if kind not in _ENDINGS:
        raise UserError(f"table={path} must end with {' or '.join(_ENDINGS)}.")
    # Names that are not UTF-8 keep their bytes.
    options = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    with output_file(path, name="table") as temporary, temporary.open("w", **options) as file:
        if kind == ".jsonl":
            yield lambda prediction: file.write(json.dumps(prediction) + "\n")
            return
        writer = csv.DictWriter(file, columns, restval="0", lineterminator="\n")
        writer.writeheader()
        yield lambda prediction: writer.writerow(_row(prediction))


def _row(prediction: dict[str, Any]) -> dict[str, Any]:
    row = {"path": prediction["image"]}
    if "shares" in prediction:
        files = {"mask": prediction["labels"], "overlay": prediction["overlay"]}
        return prediction["shares"] | row | files
    if "labels" in prediction:
        entries = prediction["labels"]
        joined = {"labels": "class", "probabilities": "probability"}
        return row | {
            name: ";".join(str(entry[key]) for entry in entries) for name, key in joined.items()
        }
    for rank, entry in enumerate(prediction["top"], start=1):
        end = "" if rank == 1 else f"_{rank}"
        row |= {f"label{end}": entry["class"], f"probability{end}": entry["probability"]}
    return row
