"""The data sets by name, with descriptions; imports neither jax nor their readers."""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from cnnlab.data.sources import tfds_builder, tfds_masks
from cnnlab.registry import DATASETS, Entry

_LINES = {
    "digits": "1,797 handwritten digits, 8x8 gray resized to 28x28; embedded, no download",
    "digit_scenes": "2,500 scenes of these digits over clutter, 64x64 gray; embedded",
    "digit_pairs": "1,797 pairs of these digits in one image, 28x28 gray; embedded",
    "folder:PATH": "your own images, as PATH/train/CLASS/*.png, PATH/images and PATH/masks, or "
    "with PATH/labels.csv",
    **tfds_builder.KNOWN,
}


def list_datasets() -> dict[str, str]:
    """Lists the names for `data.name` with descriptions; more data sets of TFDS work too."""
    return {entry.name: _line(entry) for entry in DATASETS.entries()}


def _line(entry: Entry[Any]) -> str:
    if entry.plugin is not None:
        return (inspect.getdoc(entry.load()) or "").partition("\n")[0]
    return f"{_LINES[entry.name]} ({', '.join(_tasks(entry.name))})"


def _tasks(name: str) -> tuple[str, ...]:
    """The tasks of a listed data set."""
    if name == "folder:PATH":
        return "classification", "multilabel", "segmentation"
    if name == "digit_pairs":
        return ("multilabel",)
    if name == "oxford_iiit_pet":
        return "classification", "segmentation"
    segmentation = name == "digit_scenes" or name in tfds_masks.KNOWN
    return ("segmentation",) if segmentation else ("classification",)


def _load(name: str) -> Callable[..., Any]:
    return functools.partial(importlib.import_module("cnnlab.data.loading").load, name)


for _name in _LINES:
    DATASETS.add(Entry(_name, functools.partial(_load, _name), None, plugin=None, details={}))
