"""Experiment files: found by path or bare name, loaded as Python modules."""

from pathlib import Path
from types import ModuleType
from typing import Any

from cnnlab.config.plugins import with_plugins
from cnnlab.config.schema import Config
from cnnlab.config.serialize import from_json
from cnnlab.errors import UserError, did_you_mean
from cnnlab.plugins import error_text, execute_file, load_plugins
from cnnlab.storage.json_text import read_json


def experiments_dirs() -> list[Path]:
    """Folders in which bare names are searched: the working directory's, then the shipped ones."""
    package = Path(__file__).parent.parent
    # An editable install has experiments/ beside the package, a wheel has it inside.
    candidates = [Path("experiments"), package.parent / "experiments", package / "experiments"]
    return [folder for folder in candidates if folder.is_dir()]


def experiment_names() -> dict[str, Path]:
    """Maps the bare name of each available experiment to its file."""
    names: dict[str, Path] = {}
    for folder in experiments_dirs():
        for path in sorted(folder.glob("*.py")):
            names.setdefault(path.stem, path)
    return names


def find_experiment(name: str) -> Path:
    """Returns the file of an experiment, given its path or bare name."""
    path = Path(name)
    if path.suffix in (".py", ".json"):
        if path.is_file():
            return path
        hint = did_you_mean(path.stem, experiment_names())
        raise UserError(f"config: there is no file '{name}'.{hint}")
    known = experiment_names()
    if name in known:
        return known[name]
    raise UserError(f"config: there is no experiment '{name}'.{did_you_mean(name, known)}")


def load_experiment(name: str) -> Config:
    """Loads a config from an experiment's path or bare name, or from a saved `config.json`.

    Raises:
      UserError: there is no such file, it has no `get_config()`, or it fails.
    """
    path = find_experiment(name)
    if path.suffix == ".json":
        config = from_json(read_json(path))
        load_plugins(config.plugins)
        return config
    module, plugins = execute_file(path)
    config = _call(module, "get_config", path)
    if not isinstance(config, Config):
        raise UserError(
            f"config: get_config() of '{path}' returns {type(config).__name__}, "
            "and must return cnnlab.config.Config."
        )
    return with_plugins(config, plugins)


def load_sweep(name: str) -> dict[str, Any] | None:
    """Returns the space of an experiment's `sweep()`, ranges by path; None if it has none.

    Raises:
      UserError: there is no such file, it fails, or it returns something else.
    """
    path = find_experiment(name)
    if path.suffix == ".json":
        return None
    module, _ = execute_file(path)
    if not hasattr(module, "sweep"):
        return None
    space = _call(module, "sweep", path)
    if not isinstance(space, dict):
        raise UserError(
            f"config: sweep() of '{path}' returns {type(space).__name__}, and must return a dict "
            "of paths and ranges."
        )
    return space


def _call(module: ModuleType, name: str, path: Path) -> Any:
    """Calls a function of an experiment; turns its exceptions into a `UserError`."""
    if not callable(getattr(module, name, None)):
        raise UserError(f"config: '{path}' has no function {name}().")
    try:
        return getattr(module, name)()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserError(f"config: {name}() of '{path}' fails: {error_text(error)}") from error
