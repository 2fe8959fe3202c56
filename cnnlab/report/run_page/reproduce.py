"""The command that trains a run again, or an experiment with any seed."""

import shlex

from cnnlab.config import (
    Config,
    apply_overrides,
    experiment_names,
    flat_fields,
    load_experiment,
)
from cnnlab.config.overrides import field_text
from cnnlab.errors import UserError
from cnnlab.program import program

_DICTS = ("loss.options", "loss.terms", "model.options", "optimizer.options")


def reproduce_command(config: Config, workdir: str) -> str:
    """The command `train` with the nearest experiment and flags for all that differs from it.

    That the command gives this very config has been tried, not assumed. Where no experiment and
    flags do, the config is to be read from its file; where objects took part, which no command line
    can name, it is a call in Python.

    Args:
      config: the run's config.
      workdir: for the new run.
    """
    if config.objects:
        given = ", ".join(f"{name}={name}" for name in config.objects)
        return f'cnnlab.train.fit(load_experiment("config.json"), {workdir!r}, {given})'
    target = f"--workdir={shlex.quote(workdir)}"
    found = nearest_experiment(config)
    if found is None:
        return f"{program()} train --config=config.json {target}"
    name, flags = found
    return f"{program()} {_train(name, [target], flags)}"


def experiment_command(name: str, flags: dict[str, str]) -> str:
    """The command `train` of an experiment with flags, without seed, workdir and program."""
    return _train(name, [], {path: value for path, value in flags.items() if path != "seed"})


def _train(name: str, more: list[str], flags: dict[str, str]) -> str:
    words = [f"--config.{path}={shlex.quote(value)}" for path, value in flags.items()]
    return " ".join(["train", f"--config={name}", *more, *words])


def nearest_experiment(config: Config) -> tuple[str, dict[str, str]] | None:
    """The experiment that the fewest flags turn into this config, and these flags.

    None where no experiment and flags give this very config.
    """
    candidates = []
    for name in experiment_names():
        try:
            start = load_experiment(name)
        except UserError:
            continue  # an experiment of the user's own that does not load
        flags = _flags(start, config)
        if flat_fields(apply_overrides(start, flags)) == flat_fields(config):
            candidates.append((len(flags), name, flags))
    return min(candidates, key=lambda candidate: candidate[:2])[1:] if candidates else None


def _flags(start: Config, wanted: Config) -> dict[str, str]:
    """Overrides, as texts, that lead from one config to another."""
    old, new = flat_fields(start), flat_fields(wanted)
    flags = {}
    for group in _DICTS:
        # Entries can be set but not taken away, so that a group with other names starts anew.
        if any(path.startswith(f"{group}.") and path not in new for path in old):
            flags[group] = "{}"
            old = {path: v for path, v in old.items() if not path.startswith(f"{group}.")}
    for path, value in new.items():
        if path not in old or old[path] != value:
            flags[path] = field_text(value)
    return flags
