"""Describes the interpretation of a data set, so that mistakes are seen before training."""

from collections.abc import Sequence

from cnnlab.data.source import Dataset, DatasetInfo

# Fewer distinct pixel values than this are more often a mistake of reading than a drawing.
_FEW_LEVELS = 8
_SHOWN_CLASSES = 8
# Name of the split of a data set that has none.
ALL = "all"


def describe(dataset: Dataset) -> list[str]:
    """Returns one line about a data set, then warnings, then notes of its loading.

    >>> describe(load("digits"))[0]
    'data: digits: 1,295 train, 359 test, 143 validation images of 28x28x1, uint8 from 0 to ...'
    """
    info = dataset.info
    return [_summary(info), *(f"warning: {text}" for text in _warnings(info)), *dataset.notes]


def _summary(info: DatasetInfo) -> str:
    splits = ", ".join(
        f"{count:,}" if split == ALL else f"{count:,} {split}"
        for split, count in info.num_examples.items()
    )
    line = f"data: {info.name}: {splits} images of {_times(info.image_shape)}{_sizing(info)}"
    if info.observed:
        low, high = (f"{info.observed[name]:g}" for name in ("min", "max"))
        line += f", {info.dtype} from {low} to {high}"
    line += f"; {_classes(info)}"
    if info.left_out:
        parts = ", ".join(f"{count} {reason}" for reason, count in info.left_out.items())
        line += f"; left out: {parts}"
    if info.copies:
        parts = ", ".join(f"{count} {where}" for where, count in info.copies.items())
        line += f"; copies: {parts}"
    return f"{line}."


def _sizing(info: DatasetInfo) -> str:
    """How images are resized, if they can have another size."""
    frame, files = info.image_shape[:2], info.file_sizes
    if files == (frame, frame) or (files is None and info.resize == "none"):
        return ""
    parts = []
    if files is not None:
        parts.append(f"of {' to '.join(map(_times, dict.fromkeys(files)))}")
    cover = f"scaled to {'cover ' if info.resize == 'shortest' else ''}{_times(_before_cut(info))}"
    parts.append(
        {
            "shortest": f"{cover} and cut at the center",
            "squash": cover + (" and cut at the center" if info.crop_fraction < 1 else ""),
            "pad": f"scaled to fit into {_times(frame)} and mirrored around it",
            "none": "not scaled, mirrored where smaller and cut where larger",
        }[info.resize]
    )
    if info.eval_size != frame and info.eval_size is not None:
        parts[-1] = "not scaled"
        parts.append("patches for training and all of each image for evaluation")
    elif info.resize == "none" and info.ignored and "train" not in info.num_examples:
        parts[-1] = "not scaled, mirrored where smaller and in windows where larger"
    elif info.crops_as_read:
        parts.append("crops for training from whole images")
    return f" ({', '.join(parts)})"


def _before_cut(info: DatasetInfo) -> tuple[int, ...]:
    return tuple(int(side / info.crop_fraction) for side in info.image_shape[:2])


def _times(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _classes(info: DatasetInfo) -> str:
    split = "train" if "train" in info.num_examples else next(iter(info.num_examples))
    counts, ignored = info.class_counts.get(split), info.ignored.get(split)
    words = f"{info.num_classes} class{'es' if info.num_classes != 1 else ''}"
    if counts is None or not sum(counts):
        return f"{words}: {_shortened(info.class_names)}"
    total = sum(counts) + (ignored or 0)
    shares = [
        f"{name} {100 * count / total:.3g} %"
        for name, count in zip(info.class_names, counts, strict=True)
    ]
    kind = "images" if ignored is None else "pixels"
    kind = f"training {kind}" if split == "train" else kind
    line = f"{words}: {_shortened(shares)} of {kind}"
    return line if ignored is None else f"{line}, {100 * ignored / total:.3g} % ignored"


def _shortened(items: Sequence[str]) -> str:
    rest = len(items) - _SHOWN_CLASSES
    return ", ".join(items[:_SHOWN_CLASSES]) + (f" and {rest} more" if rest > 0 else "")


def _warnings(info: DatasetInfo) -> list[str]:
    warnings = []
    levels = info.observed.get("levels")
    if levels is not None and levels < _FEW_LEVELS:
        low, high = (f"{info.observed[name]:g}" for name in ("min", "max"))
        warnings.append(
            f"the training images have only {levels} distinct pixel "
            f"value{'s' if levels != 1 else ''} (from {low} to {high})."
        )
    if info.num_classes == 1:
        warnings.append(
            f"there is one class only ('{info.class_names[0]}'): nothing to tell apart."
        )
    for split, counts in info.class_counts.items():
        empty = [f"'{info.class_names[i]}'" for i, count in enumerate(counts) if not count]
        if empty:
            where = "data set" if split == ALL else f"{split} split"
            warnings.append(f"the {where} has no example of {_shortened(empty)}.")
    return warnings
