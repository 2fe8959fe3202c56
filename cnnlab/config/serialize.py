"""Configs as JSON, and the differences between two configs."""

import dataclasses
from collections.abc import Collection
from typing import Any

from cnnlab.config.overrides import apply_overrides, field_paths
from cnnlab.config.schema import Config

# Fields that change where and how fast a run is computed, not what it computes: a run may be
# resumed with other values of these.
_EXECUTION_FIELDS = frozenset(
    {
        "checkpoint.keep",
        "data.data_dir",
        "data.manual_dir",
        "data.num_workers",
        "evaluation.batch_size",
        "model.remat",
        "num_devices",
        "parallel",
        "plugins",  # compared with the files themselves when they are imported
        "sharding.height",
        "sharding.parameters",
    }
)


# Fields in which a run that is trained longer differs from the one that was complete.
DURATION_FIELDS = frozenset({"epochs", "steps"})

_FIELDS = frozenset(field_paths(Config()))


def is_execution_field(path: str) -> bool:
    """Whether a run may be resumed with another value of this field; see above."""
    # Callbacks look on, and a run may get another tracker on its way.
    return path in _EXECUTION_FIELDS or path.split(".")[0] == "callbacks"


def to_json(config: Config) -> dict[str, Any]:
    """Returns the config as nested dicts of JSON values."""
    return dataclasses.asdict(config)


def field_values(config: Config) -> dict[str, Any]:
    """Returns the values of all fields and options by path, e.g. `optimizer.learning_rate`."""
    return _flatten(to_json(config))


def flat_fields(config: Config) -> dict[str, Any]:
    """Returns the same as JSON values: tuples are lists."""
    return {path: _plain(value) for path, value in field_values(config).items()}


def from_json(tree: dict[str, Any]) -> Config:
    """Inverse of `to_json`; raises a `UserError` for unknown names and wrong types."""
    return apply_overrides(Config(), _flatten(tree))


def differences(saved: Config, asked: Config, *, but: Collection[str] = frozenset()) -> list[str]:
    """Lines `path: saved -> asked` of the fields in which two configs contradict each other.

    Args:
      saved: one config.
      asked: another one.
      but: paths of further fields that may differ.
    """
    old, new = flat_fields(saved), flat_fields(asked)
    return [
        f"{path}: {old.get(path, 'unset')} -> {new.get(path, 'unset')}"
        for path in sorted(old.keys() | new.keys())
        if not is_execution_field(path) and path not in but and old.get(path) != new.get(path)
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in tree.items():
        # An entry without options, as of `callbacks`, is an empty dict; an empty field is none.
        if isinstance(value, dict) and (value or prefix + name in _FIELDS):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
