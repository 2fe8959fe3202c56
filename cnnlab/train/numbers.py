"""Which numbers of a config may be traced, and how traced ones take their places.

Runs whose configs are equal but for these numbers and the seed are of one *skeleton*: they share
every compiled program, and may be trained side by side in one (`cnnlab.sweep`).

Not among them, because they change shapes or what is computed: whole numbers but the side of
cutout, the corners of schedules and `step_factor`, weights and options of segmentation losses,
rates of stochastic depth. A strength of zero is no number of its program: what it would switch on
is not there.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from cnnlab.config import Config
from cnnlab.config.serialize import to_json
from cnnlab.train.optimizer import optimizer_options

# A number, or a pair of them, by its path in the config.
Numbers = dict[str, Any]

_ALWAYS = ("optimizer.learning_rate", "schedule.end_factor")
# Traced where they are set to something else than this.
_OFF = {
    "optimizer.weight_decay": 0,
    "optimizer.clip_norm": None,
    "optimizer.ema_decay": None,
    "loss.label_smoothing": 0,
    "finetune.backbone_rate": 1,
    "augment.rotate_degrees": 0,
    "augment.translate": 0,
    "augment.scale": 0,
    "augment.shear_degrees": 0,
    "augment.elastic_alpha": 0,
    "augment.brightness": 0,
    "augment.contrast": 0,
    "augment.saturation": 0,
    "augment.hue": 0,
    "augment.cutout": 0,
    "augment.mixup_alpha": 0,
    "augment.cutmix_alpha": 0,
    "model.options.dropout_rate": 0,
}
# Traced where that other field switches on what they are of.
_OF = {
    "augment.crop_scale": "augment.random_resized_crop",
    "augment.crop_ratio": "augment.random_resized_crop",
    "augment.elastic_sigma": "augment.elastic_alpha",
    "augment.randaugment_magnitude": "augment.randaugment_num_layers",
}


def traceable_numbers(config: Config) -> Numbers:
    """The numbers of a config that may be traced, by their paths; the seed is not among them.

    >>> traceable_numbers(Config())
    {'optimizer.learning_rate': 0.1, 'schedule.end_factor': 0.0}
    """
    numbers = {path: _get(config, path) for path in _ALWAYS}
    for path, off in _OFF.items():
        value = _get(config, path)
        if value is not None and value != off and _is_number(value):
            numbers[path] = value
    numbers |= {path: _get(config, path) for path, gate in _OF.items() if _get(config, gate)}
    if config.model.pretrained:
        # What those weights allow is compared with the options.
        numbers.pop("model.options.dropout_rate", None)
    defaults = optimizer_options(config.optimizer.name)
    for option, value in config.optimizer.options.items():
        # Those without a default, as sgd's momentum, are numbers where they are given one.
        if _is_number(value) and isinstance(defaults.get(option), float | None):
            numbers[f"optimizer.options.{option}"] = float(value)
    return numbers


def with_numbers(config: Config, numbers: Mapping[str, Any]) -> Config:
    """A copy of a config with other numbers at these paths; they are not checked."""
    for path, value in numbers.items():
        config = _replaced(config, path.split("."), value)
    return config


def skeleton(config: Config) -> str:
    """Everything of a config but its seed and its traceable numbers, as a text to compare."""
    marked = dict.fromkeys(traceable_numbers(config), "traced")
    tree = to_json(with_numbers(config, marked | {"seed": "traced"}))
    return json.dumps(tree, sort_keys=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _get(config: Config, path: str) -> Any:
    """A field's value; of an option that the config leaves out, None."""
    value: Any = config
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
    return value


def _replaced(holder: Any, names: list[str], value: Any) -> Any:
    first, *rest = names
    if isinstance(holder, Mapping):
        return {**holder, first: _replaced(holder[first], rest, value) if rest else value}
    new = _replaced(getattr(holder, first), rest, value) if rest else value
    return dataclasses.replace(holder, **{first: new})
