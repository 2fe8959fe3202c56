"""Interprets the values of a folder's masks, and finds those that cannot be labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnlab.data.mask_file import BINARY, MaskClasses
from cnnlab.data.source import IGNORE
from cnnlab.errors import UserError

# More classes than this, without a file that names them, are noise or numbers of instances.
_MOST_UNNAMED = 100
_FEWEST_INSTANCES = 8
_SHOWN_FILES = 8


def understand(
    folder: Path,
    classes: MaskClasses,
    pairs: Sequence[tuple[Path, Path]],
    present: np.ndarray,
) -> tuple[MaskClasses, tuple[str, ...], np.ndarray]:
    """Returns the classes, their names, and which labels each mask has.

    Args:
      folder: folder of the data set.
      classes: classes as its files describe them.
      pairs: files of images and masks.
      present: which values each mask has, bool [masks, 256].

    Raises:
      UserError: the values are not labels from 0 on, or there is only one class.
    """
    if classes.names is None:
        if np.flatnonzero(present.any(axis=0)).tolist() == [0, IGNORE]:
            classes, full = BINARY, present[:, IGNORE]
            present = present.copy()
            present[:, 1], present[:, IGNORE] = full, False
        else:
            _check_unnamed(folder, [mask for _, mask in pairs], present)
    labels = np.flatnonzero(present.any(axis=0)[:IGNORE])
    if labels.tolist() == [0] and not present[:, IGNORE].any():
        raise UserError(
            f"The masks of {folder} are 0 (background) at every pixel: there is nothing to learn."
        )
    if len(labels) < 2 and (classes.names is None or len(classes.names) > 1):
        raise UserError(
            f"The masks of {folder} have no labels but {_listed(labels)}, so there is nothing to "
            f"tell apart ({IGNORE} is ignored: write a class as its number, e.g. 1, or name the "
            "values in palette.txt, e.g. 'cell 255 255 255')."
        )
    names = classes.names or tuple(str(label) for label in range(labels[-1] + 1))
    return classes, names, present


def single_class_notes(
    names: Sequence[str], masks: Sequence[Path], present: np.ndarray
) -> tuple[str, ...]:
    """Returns a sentence that names masks with only the first class, the background.

    Args:
      names: names of the classes.
      masks: files of the masks.
      present: which labels each mask has, bool [masks, 256].
    """
    empty = np.flatnonzero(present[:, 0] & ~present[:, 1:IGNORE].any(axis=1))
    if len(names) < 2 or not len(empty):
        return ()
    shown = ", ".join(f"'{masks[number]}'" for number in empty[:_SHOWN_FILES])
    more = f" and {len(empty) - _SHOWN_FILES} more" if len(empty) > _SHOWN_FILES else ""
    what = "'0', the background," if names[0] == "0" else f"'{names[0]}'"
    return (f"{len(empty)} of {len(masks)} masks are {what} at every pixel: {shown}{more}.",)


def _check_unnamed(folder: Path, masks: Sequence[Path], present: np.ndarray) -> None:
    """Raises a `UserError` for unnamed values that are unlikely to be labels."""
    values = np.flatnonzero(present.any(axis=0))
    ones, full = present[:, 1], present[:, IGNORE]
    if values.tolist() == [0, 1, IGNORE] and ones.any() and not (ones & full).any():
        first, second = (masks[int(np.flatnonzero(kind)[0])] for kind in (ones, full))
        raise UserError(
            f"'{first}' has the values 0 and 1, and '{second}' 0 and {IGNORE}: save all masks in "
            f"one way, or, if {IGNORE} is to be ignored, write the names of the two classes into "
            f"{folder / 'classes.txt'}."
        )
    labels = values[values != IGNORE]
    shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
    have = f"The masks of {folder} have the values {shown}"
    if len(labels) > 1 and labels[-1] >= len(labels):
        raise UserError(
            f"{have}, which are no labels without gaps: "
            f"write one name a line into {folder / 'classes.txt'} if there are {labels[-1] + 1} "
            "classes, of which some do not occur, or 'NAME V V V' for each value V into "
            "palette.txt."
        )
    # The objects of each mask numbered from 1 on: it has all numbers up to its own count.
    counts = present[:, 1:IGNORE].sum(axis=1)
    highest = np.array([np.flatnonzero(row[:IGNORE]).max(initial=0) for row in present])
    numbered = (counts == highest).all() and len(set(counts.tolist())) > 2
    if len(labels) > _MOST_UNNAMED or (numbered and len(labels) > _FEWEST_INSTANCES):
        kind = "numbers of instances" if numbered else f"{len(labels)} different ones"
        raise UserError(
            f"{have}, {kind} rather than labels of classes: save masks whose values are classes "
            f"(0 background, 1 object), or write one name a line into {folder / 'classes.txt'}."
        )


def _listed(labels: np.ndarray) -> str:
    return " and ".join(map(str, labels)) or f"{IGNORE}"
