"""The best config of a study as files that `train` takes: an experiment in Python, and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnlab.config import Config, apply_overrides, field_values, to_json
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.visible import visible

_WIDTH = 70  # of a dict on one line


def write_best(
    folder: Path, config: Config, overrides: Mapping[str, Any], *, title: str, command: str
) -> None:
    """Writes `best.py` and `best.json`, each atomically.

    `best.py` needs no other experiment: it sets the fields of the sweep's config, and then the
    values that the study found.

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
    """Returns an experiment file: `config` without defaults, and the overrides, by path."""
    defaults, final = field_values(Config()), field_values(apply_overrides(config, overrides))
    changed = {
        path: value
        for path, value in field_values(config).items()
        if path not in defaults or value != defaults[path]
    }
    # Values as the config holds them: a tuple, where the study has kept its text.
    found = {path: final.get(path, value) for path, value in overrides.items()}
    return f'''"""{_plain(title)}

    {_plain(command)}
"""

from cnnlab.config import Config, apply_overrides


def get_config() -> Config:
    config = apply_overrides(Config(), {_source(changed)})
    # What the study has found.
    found = {_source(found)}
    return apply_overrides(config, found)
'''


def _plain(text: str) -> str:
    """Escapes a text so that it cannot end its docstring."""
    return visible(text).replace("\\", "/").replace('"', "'")


def _source(values: Mapping[str, Any]) -> str:
    """Python source of a dict by path, on one line if it fits, else with one line per path."""
    items = [f"{_literal(path)}: {_literal(value)}" for path, value in values.items()]
    line = ", ".join(items)
    if len(line) <= _WIDTH:
        return f"{{{line}}}"
    lines = "".join(f"        {item},\n" for item in items)
    return f"{{\n{lines}    }}"


def _literal(value: Any) -> str:
    plain = isinstance(value, str) and value.isascii() and value.isprintable()
    return json.dumps(value) if plain else repr(value)  # in double quotes, or escaped by Python
