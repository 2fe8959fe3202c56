"""Fixed splits: the same examples on every machine and for every seed of a run."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from cnnlab.errors import UserError

# Splits belong to a data set, not to a run: its seed must not move examples between them.
_SEED = 20_151_210


def stratified_split(
    labels: np.ndarray,
    fraction: float,
    class_names: Sequence[str],
    *,
    name: str,
    held_out: str = "test",
) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples in two with the same share of every class in each.

    Args:
      labels: int [examples].
      fraction: share of the second part, in (0, 1); at least one example of each class.
      class_names: names of the classes, for the error message.
      name: name of the data set, for the error message.
      held_out: name of the second part, for the error message.

    Returns:
      Numbers of the examples of the first and of the second part, ascending.

    Raises:
      UserError: a class has a single example.
    """
    rng = np.random.default_rng(_SEED)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise UserError(_too_few(f"Class '{class_names[label]}' of {name}", held_out))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen.append(rng.permutation(members)[:count])
    second = np.sort(np.concatenate(chosen))
    first = np.setdiff1d(np.arange(len(labels)), second)
    return first, second


def random_split(
    num_examples: int, fraction: float, *, name: str, held_out: str
) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples without single labels in two at random.

    Args:
      num_examples: number of examples to split.
      fraction: share of the second part, in (0, 1); at least one example.
      name: name of the data set, for the error message.
      held_out: name of the second part, for the error message.

    Returns:
      Numbers of the examples of the first and of the second part, ascending.

    Raises:
      UserError: there is a single example.
    """
    if num_examples < 2:
        raise UserError(_too_few(name, held_out))
    order = np.random.default_rng(0).permutation(num_examples)
    count = min(max(1, round(fraction * num_examples)), num_examples - 1)
    return np.sort(order[count:]), np.sort(order[:count])


def hashed_split(
    keys: Sequence[str] | Sequence[int],
    fraction: float,
    labels: np.ndarray | None,
    class_names: Sequence[str],
    *,
    name: str,
    held_out: str,
    fold: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Holds out the examples whose hash is below `fraction`, independently of other examples.

    An example therefore stays in its split when others are added or removed. Two rules for small
    sets take precedence: the last training example of a class is not held out, and the held-out
    split has at least one example. Examples with the same key stay together.

    Args:
      keys: key of each example: its path relative to the data folder, its index, or its group.
      fraction: expected share of the held-out split, in (0, 1).
      labels: int [examples]; None if examples have no single label.
      class_names: names of the classes in the order of the labels, for the error message.
      name: name of the data set, for the error message.
      held_out: name of the held-out split; `test` and `validation` are drawn independently.
      fold: (index, count) holds out this one of equal parts of all hashes instead of `fraction`.

    Returns:
      Indices of the remaining and of the held-out examples, ascending.

    Raises:
      UserError: a class, or without labels the whole set, has a single example; there is only
        one group; or the fold is empty.
    """
    number, count = fold or (0, 1 / fraction)
    units = list(dict.fromkeys(keys))
    places = {key: place for place, key in enumerate(units)}
    unit_of = np.array([places[key] for key in keys])
    draws = np.array([_uniform("fold" if fold else held_out, key) for key in units])
    chosen = (number / count <= draws) & (draws < (number + 1) / count)
    classes = np.zeros(len(unit_of), np.int32) if labels is None else labels
    units_of_classes = [np.unique(unit_of[classes == label]) for label in np.unique(classes)]
    if len(units) == 1 < len(keys):
        raise UserError(
            f"{name} has a single group, '{units[0]}', and the {held_out} split needs one too: "
            "choose another data.group_by."
        )
    for label, members in zip(np.unique(classes), units_of_classes, strict=True):
        if len(members) < 2 and len(units) == len(keys):
            owner = name if labels is None else f"Class '{class_names[label]}' of {name}"
            raise UserError(_too_few(owner, held_out))
        if chosen[members].all():
            chosen[members[draws[members].argmax()]] = False
    if not chosen.any():
        last = {int(members[0]) for members in units_of_classes if len(members) == 1}
        others = [unit for unit in np.argsort(draws) if unit not in last]
        if fold or not others:
            what = f"fold {number} of {count}" if fold else f"the {held_out} split"
            raise UserError(
                f"{name} has too few {'images' if len(units) == len(keys) else 'groups'}: {what} "
                "would be empty."
            )
        chosen[others[0]] = True
    return np.flatnonzero(~chosen[unit_of]), np.flatnonzero(chosen[unit_of])


def fixed_fold(
    labels: np.ndarray, fold: tuple[int, int], class_names: Sequence[str], *, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Holds out one of equal folds of a set that never grows, stratified by class.

    Args:
      labels: int [examples]; zeros if examples have no single label.
      fold: index and number of folds.
      class_names: names of the classes in the order of the labels, for the error message.
      name: name of the data set, for the error message.

    Returns:
      Indices of the remaining and of the held-out examples, ascending.

    Raises:
      UserError: there are more folds than a class has examples.
    """
    number, count = fold
    rng = np.random.default_rng(_SEED)
    order = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < count:
            raise UserError(
                f"data.folds={count}: class '{class_names[label]}' of {name} has only "
                f"{len(members)} training examples."
            )
        order.append(rng.permutation(members))
    second = np.sort(np.concatenate(order)[number::count])
    return np.setdiff1d(np.arange(len(labels)), second), second


def group_names(paths: Sequence[str], group_by: str, *, name: str) -> list[str]:
    """Returns the group of each file; all files of a group stay in one split.

    Args:
      paths: paths of the files below the data folder, with `/`.
      group_by: a level: 1 is the first folder of a path, -1 the file's own folder. Or a regular
        expression, whose groups, or the whole match without groups, name the group.
      name: name of the data set, for the error message.

    Raises:
      UserError: a path has no such level, or the expression does not match it.
    """
    found = []
    level = int(group_by) if re.fullmatch(r"-?\d+", group_by) else None
    for path in paths:
        if level is None:
            match = re.search(group_by, path)
            group = match and ("|".join(part or "" for part in match.groups()) or match[0])
        else:
            folders = path.split("/")[:-1]
            place = level - 1 if level > 0 else level
            there = level and -len(folders) <= place < len(folders)
            group = folders[place] if there else None
        if not group:
            raise UserError(
                f"data.group_by={group_by}: '{path}' of {name} "
                + ("does not match it." if level is None else "has no folder at that level.")
            )
        found.append(group)
    return found


def _uniform(salt: str, key: str | int) -> float:
    """A number in [0, 1) that depends only on the key, on every machine."""
    # Some file systems decompose accented letters: a copy of a folder keeps its splits.
    data = unicodedata.normalize("NFC", str(key)).encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(data, digest_size=8, person=salt.encode()[:16]).digest()
    return int.from_bytes(digest, "big") / 2**64


def _too_few(owner: str, held_out: str) -> str:
    """Message for a class or a data set with a single example."""
    # A test split must be; a validation split can be done without.
    way_out = " or set data.validation_fraction=0," if held_out == "validation" else ""
    return (
        f"{owner} has a single image left, and the {held_out} split needs one too: add images,"
        f"{way_out} or give the {held_out} split as a folder of its own."
    )


def stratified_sample(
    labels: np.ndarray, per_class: int, class_names: Sequence[str], *, name: str
) -> np.ndarray:
    """Chooses the same number of examples of every class; larger samples contain smaller ones.

    Args:
      labels: int [examples].
      per_class: number of examples of each class.
      class_names: names of the classes in the order of the labels.
      name: name of the data set, for the error message.

    Returns:
      Numbers of the examples, ascending.

    Raises:
      UserError: a class has fewer examples.
    """
    rng = np.random.default_rng(_SEED)
    chosen = []
    for label, class_name in enumerate(class_names):
        members = np.flatnonzero(labels == label)
        if len(members) < per_class:
            raise UserError(
                f"data.train_examples_per_class={per_class}: class '{class_name}' of {name} has "
                f"only {len(members)} in its training split."
            )
        chosen.append(rng.permutation(members)[:per_class])
    return np.sort(np.concatenate(chosen))
