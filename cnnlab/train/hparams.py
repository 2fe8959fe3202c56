"""Hyper-parameters: the scalars of a config that are arguments of the compiled training step.

Runs whose configs differ only in hyper-parameters and the seed have the same *program key*. They
share every compiled program and can be trained side by side in one (`cnnlab.sweep`).

Values that change shapes or the computation are not hyper-parameters: integers except the side of
cutout, the corners of schedules and `step_factor`, weights, options and class weights of losses,
and rates of stochastic depth. Neither is a strength of zero, because its program does not contain
the operation that the strength belongs to.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from cnnlab.arrays import HParams
from cnnlab.config import Config
from cnnlab.config.serialize import to_json
from cnnlab.train.optim.optimizer import optimizer_options

_ALWAYS = ("optimizer.learning_rate", "schedule.end_factor")
# Traced where they are set to something else than this.
_OFF = {
    "optimizer.weight_decay": 0,
    "optimizer.clip_norm": None,
    "optimizer.ema_decay": None,
    "loss.label_smoothing": 0,
    "finetune.backbone_rate": 1,
    "finetune.layer_decay": 1,
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
    "augment.random_erasing": 0,
    "augment.mixup_alpha": 0,
    "augment.cutmix_alpha": 0,
    "model.options.dropout_rate": 0,
}
# Traced where that other field switches on what they are of.
_OF = {
    "augment.crop_scale": "augment.random_resized_crop",
    "augment.crop_ratio": "augment.random_resized_crop",
    "augment.erasing_scale": "augment.random_erasing",
    "augment.erasing_ratio": "augment.random_erasing",
    "augment.elastic_sigma": "augment.elastic_alpha",
    "augment.randaugment_magnitude": "augment.randaugment_num_layers",
}


def hparams_of(config: Config) -> dict[str, Any]:
    """Returns the hyper-parameters of a config by path, without the seed.

    >>> hparams_of(Config())
    {'optimizer.learning_rate': 0.1, 'schedule.end_factor': 0.0}
    """
    found = {path: _get(config, path) for path in _ALWAYS}
    for path, off in _OFF.items():
        value = _get(config, path)
        if value is not None and value != off and _is_number(value):
            found[path] = value
    found |= {path: _get(config, path) for path, gate in _OF.items() if _get(config, gate)}
    if config.model.pretrained:
        # The options that the weights require are compared with those of the config.
        found.pop("model.options.dropout_rate", None)
    defaults = optimizer_options(config.optimizer.name)
    for option, value in config.optimizer.options.items():
        # Those without a default, as sgd's momentum, are numbers where they are given one.
        if _is_number(value) and isinstance(defaults.get(option), float | None):
            found[f"optimizer.options.{option}"] = float(value)
    return found


def program_key(config: Config) -> str:
    """Returns a config without seed, hyper-parameters, plugins and callbacks, as text."""
    marked = dict.fromkeys(hparams_of(config), "traced")
    tree = to_json(
        with_hparams(config, marked | {"seed": "traced", "plugins": (), "callbacks": {}})
    )
    return json.dumps(tree, sort_keys=True)


def with_hparams(config: Config, hparams: HParams) -> Config:
    """Returns a copy of a config with new values at these paths, which are not checked."""
    for path, value in hparams.items():
        config = _replaced(config, path.split("."), value)
    return config


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _get(config: Config, path: str) -> Any:
    """Value of a field; None for an option that the config does not set."""
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
