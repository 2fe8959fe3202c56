"""Experiment files: found by path or bare name, loaded as Python modules."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from cnnlab.config.schema import Config
from cnnlab.config.serialize import from_json
from cnnlab.errors import UserError, did_you_mean


def experiments_dirs() -> list[Path]:
    """Where bare names are looked up: the working directory first, then those shipped."""
    package = Path(__file__).parent.parent
    # An editable install has experiments/ beside the package, a wheel has it inside.
    candidates = [Path("experiments"), package.parent / "experiments", package / "experiments"]
    return [folder for folder in candidates if folder.is_dir()]


def experiment_names() -> dict[str, Path]:
    """Bare names of all experiments that can be found, and their files."""
    names: dict[str, Path] = {}
    for folder in experiments_dirs():
        for path in sorted(folder.glob("*.py")):
            names.setdefault(path.stem, path)
    return names


def find_experiment(name: str) -> Path:
    """The file that `--config=name` means: a path, or the bare name of an experiment."""
    path = Path(name)
    if path.suffix in (".py", ".json"):
        if path.is_file():
            return path
        hint = did_you_mean(path.stem, experiment_names())
        raise UserError(f"--config: there is no file '{name}'.{hint}")
    known = experiment_names()
    if name in known:
        return known[name]
    raise UserError(f"--config: there is no experiment '{name}'.{did_you_mean(name, known)}")


def load_experiment(name: str) -> Config:
    """Loads a config from an experiment's path or bare name, or from a saved `config.json`.

    Raises:
      UserError: no such file, a file without `get_config()`, or one that does not run.
    """
    path = find_experiment(name)
    if path.suffix == ".json":
        try:
            return from_json(json.loads(path.read_text()))
        except json.JSONDecodeError as error:
            raise UserError(f"--config: '{path}' is not valid JSON: {error}.") from error
    module = _load_module(path)
    if not hasattr(module, "get_config"):
        raise UserError(f"--config: '{path}' has no function get_config().")
    try:
        config = module.get_config()
    except TypeError as error:  # a field that does not exist, given to a dataclass
        raise UserError(f"--config: get_config() of '{path}' fails: {error}.") from error
    if not isinstance(config, Config):
        raise UserError(
            f"--config: get_config() of '{path}' returns {type(config).__name__}, "
            "and must return cnnlab.config.Config."
        )
    return config


def load_sweep(name: str) -> dict[str, Any] | None:
    """What the function `sweep()` of an experiment returns: ranges by path; None without one.

    Raises:
      UserError: no such file, one that does not run, or one that returns something else.
    """
    path = find_experiment(name)
    if path.suffix == ".json":
        return None
    module = _load_module(path)
    if not hasattr(module, "sweep"):
        return None
    space = module.sweep()
    if not isinstance(space, dict):
        raise UserError(
            f"--config: sweep() of '{path}' returns {type(space).__name__}, and must return a dict "
            "of paths and ranges."
        )
    return space


def _load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"cnnlab_experiment_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, AttributeError, TypeError, NameError) as error:
        raise UserError(f"--config: '{path}' cannot be loaded: {error}.") from error
    return module
