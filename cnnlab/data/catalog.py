"""The data sets by name, with descriptions; imports neither jax nor their readers."""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from cnnlab.registry import DATASETS, Entry

TFDS_NAMES = {
    "mnist": "70,000 handwritten digits, 28x28 gray",
    "fashion_mnist": "70,000 pieces of clothing, 28x28 gray, 10 classes",
    "kmnist": "70,000 cursive Japanese characters, 28x28 gray, 10 classes",
    "emnist": "handwritten letters and digits, 28x28 gray",
    "cifar10": "60,000 photographs, 32x32 color, 10 classes",
    "cifar100": "60,000 photographs, 32x32 color, 100 classes",
    "svhn_cropped": "99,289 house numbers, 32x32 color",
    "cats_vs_dogs": "23,262 photographs of pets, 2 classes",
    "tf_flowers": "3,670 photographs of flowers, 5 classes",
    "oxford_flowers102": "8,189 photographs of flowers, 102 classes",
    "oxford_iiit_pet": "7,349 photographs of pets, 37 breeds, or pet, background and border",
    "food101": "101,000 photographs of dishes, 101 classes",
    "eurosat": "27,000 satellite images, 64x64, 10 classes",
    "stl10": "13,000 labelled photographs, 96x96, 10 classes",
    "imagenette": "13,394 photographs, ten easy classes of ImageNet",
    "imagenet2012": "1.3 million photographs, 1,000 classes; needs manual_dir",
    "scene_parse150": "22,210 photographs of places, masks of 150 classes",
    "cityscapes": "3,475 photographs of streets, masks of 19 classes; needs manual_dir",
}
_LINES = {
    "digits": "1,797 handwritten digits, 8x8 gray resized to 28x28; embedded, no download",
    "digit_scenes": "2,500 scenes of these digits over clutter, 64x64 gray; embedded",
    "digit_pairs": "1,797 pairs of these digits in one image, 28x28 gray; embedded",
    "folder:PATH": "your own images, as PATH/train/CLASS/*.png, PATH/images and PATH/masks, or "
    "with PATH/labels.csv",
    **TFDS_NAMES,
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
    segmentation = name in ("digit_scenes", "scene_parse150", "cityscapes")
    return ("segmentation",) if segmentation else ("classification",)


def _load(name: str) -> Callable[..., Any]:
    return functools.partial(importlib.import_module("cnnlab.data.loading").load, name)


for _name in _LINES:
    DATASETS.add(Entry(_name, functools.partial(_load, _name), None, plugin=None, details={}))
