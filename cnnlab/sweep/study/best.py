"""The best config of a study as files that `train` takes: an experiment in Python, and JSON."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnlab.config import Config, apply_overrides, to_json
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.visible import visible

_WIDTH = 100


def write_best(
    folder: Path, config: Config, overrides: Mapping[str, Any], *, title: str, command: str
) -> None:
    """Writes `best.py` and `best.json`, each atomically.

    `best.py` needs no other experiment: it builds the sweep's config and sets the values that the
    study found.

    Args:
      folder: folder of the study.
      config: config of the sweep.
      overrides: values that the study found, by path.
      title: first sentence of the file.
      command: command that trains it.
    """
    final = to_json(apply_overrides(config, overrides))
    for name, text in {
        "best.json": json.dumps(final, indent=2) + "\n",
        "best.py": experiment_source(config, overrides, title=title, command=command),
    }.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text)


def experiment_source(
    config: Config, overrides: Mapping[str, Any], *, title: str, command: str
) -> str:
    """Returns an experiment file: `config` without defaults, and the overrides as a dict."""
    final = apply_overrides(config, overrides)
    # Values as the config holds them: a tuple, where the study has kept its text.
    found = {path: _field(final, path) for path in overrides}
    classes = sorted({"Config", *_classes(config)})
    imports = f"from cnnlab.config import {', '.join([*classes, 'apply_overrides'])}"
    if len(imports) > _WIDTH:
        names = "".join(f"    {name},\n" for name in [*classes, "apply_overrides"])
        imports = f"from cnnlab.config import (\n{names})"
    return f'''"""{_plain(title)}

    {_plain(command)}
"""

{imports}


def get_config() -> Config:
    config = {_source(config, 4)}
    # What the study has found.
    found = {_source(found, 4)}
    return apply_overrides(config, found)
'''


def _plain(text: str) -> str:
    """Escapes a text so that it cannot end its docstring."""
    return visible(text).replace("\\", "/").replace('"', "'")


def _field(config: Config, path: str) -> Any:
    holder: Any = config
    for name in path.split("."):
        holder = holder[name] if isinstance(holder, dict) else getattr(holder, name)
    return holder


def _classes(value: Any) -> set[str]:
    """Names of the dataclasses that the source of a config uses."""
    inner = [x for _, x in _changed(value) if dataclasses.is_dataclass(x)]
    return {type(value).__name__}.union(*map(_classes, inner))


def _changed(value: Any) -> list[tuple[str, Any]]:
    """Fields of a dataclass that are not the default."""
    default = type(value)()
    names = [field.name for field in dataclasses.fields(value)]
    pairs = [(name, getattr(value, name)) for name in names]
    return [(name, x) for name, x in pairs if x != getattr(default, name)]


def _source(value: Any, indent: int) -> str:
    """Python source of a value, on one line if it fits, else with one line per part."""
    if dataclasses.is_dataclass(value):
        parts = [(f"{name}=", x) for name, x in _changed(value)]
        opening, closing = f"{type(value).__name__}(", ")"
    elif isinstance(value, dict):
        parts = [(f"{_source(key, 0)}: ", x) for key, x in value.items()]
        opening, closing = "{", "}"
    elif isinstance(value, tuple | list):
        inner = ", ".join(_source(item, 0) for item in value)
        comma = "," if len(value) == 1 else ""
        return f"({inner}{comma})" if isinstance(value, tuple) else f"[{inner}]"
    else:
        if not isinstance(value, str):
            return repr(value)
        return json.dumps(value, ensure_ascii=value != visible(value))
    line = opening + ", ".join(name + _source(x, indent) for name, x in parts) + closing
    if "\n" not in line and indent + len(line) <= _WIDTH - 20:
        return line
    space = " " * (indent + 4)
    lines = "".join(f"{space}{name}{_source(x, indent + 4)},\n" for name, x in parts)
    return f"{opening}\n{lines}{' ' * indent}{closing}"
