"""Configs as JSON, and the difference between two of them."""

import dataclasses
from typing import Any

from cnnlab.config.overrides import apply_overrides
from cnnlab.config.schema import Config

# Fields that change where and how fast a run is computed, not what it computes: a run may be
# resumed with other values of these.
EXECUTION_FIELDS = frozenset(
    {
        "checkpoint.keep",
        "data.data_dir",
        "data.manual_dir",
        "data.num_workers",
        "evaluation.batch_size",
        "model.remat",
        "num_devices",
        "parallel",
        "sharding.height",
        "sharding.parameters",
    }
)


def to_json(config: Config) -> dict[str, Any]:
    """The config as nested dicts of JSON values."""
    return dataclasses.asdict(config)


def flat_fields(config: Config) -> dict[str, Any]:
    """The values of all fields by their paths, e.g. `optimizer.learning_rate`."""
    return {path: _plain(value) for path, value in _flatten(to_json(config)).items()}


def from_json(tree: dict[str, Any]) -> Config:
    """The inverse of `to_json`, with names and types checked; raises `UserError`."""
    return apply_overrides(Config(), _flatten(tree))


def differences(saved: Config, asked: Config) -> list[str]:
    """Lines `path: saved -> asked` of the fields in which two configs contradict each other."""
    old, new = flat_fields(saved), flat_fields(asked)
    return [
        f"{path}: {old.get(path, 'unset')} -> {new.get(path, 'unset')}"
        for path in sorted(old.keys() | new.keys())
        if path not in EXECUTION_FIELDS and old.get(path) != new.get(path)
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
