"""What a trial computes: a run of the config with other fields, or any function of parameters."""

import contextlib
import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cnnlab import classical, train
from cnnlab.config import Config, apply_overrides, to_json
from cnnlab.errors import UserError
from cnnlab.sweep.space import Values
from cnnlab.train.display import PlainDisplay
from cnnlab.train.records import read_rows
from cnnlab.train.watch import Pruned
from cnnlab.train.workdir import Workdir

Function = Callable[..., float]
Tell = Callable[[int, float], bool]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of one repeat.

    Attributes:
      value: what the study is about.
      test: numbers on the test split, of a run of a config; no decision rests on them.
    """

    value: float
    test: dict[str, float | None] = dataclasses.field(default_factory=dict)


class Objective(Protocol):
    """What the trials of a study compute."""

    def describe(self) -> dict[str, Any]:
        """What it is, as JSON: two studies whose descriptions differ are not one."""

    def run(self, values: Values, repeat: int, workdir: Path | None, tell: Tell) -> Outcome:
        """Computes one repeat of a trial, or goes on with it.

        Args:
          values: of the hyper-parameters, by path.
          repeat: counts from 0; each has its own seed.
          workdir: folder of this repeat.
          tell: to be called with step and value on the way; where it returns True, the trial is
            ended with `Pruned`.
        """


class ConfigObjective:
    """Trains a config with some fields changed; the metric on the validation split is the value.

    It is that of the best checkpoint, the one whose weights are kept for the test split. Every
    repeat is an ordinary run in its folder; what the run has to say goes to a file beside it.

    Attributes:
      config: the experiment.
      metric: that is reported and returned.
    """

    def __init__(self, config: Config, metric: str, mode: str):
        """Takes an experiment; `mode` is `max` where larger values of the metric are better."""
        self.config, self.metric, self._mode = config, metric, mode

    def describe(self) -> dict[str, Any]:
        """See `Objective.describe`."""
        return {"config": to_json(self.config)}

    def trial_config(self, values: Values, repeat: int) -> Config:
        """The config of a repeat: seeds count up from that of the trial."""
        config = apply_overrides(self.config, values)
        return dataclasses.replace(config, seed=config.seed + repeat)

    def run(self, values: Values, repeat: int, workdir: Path | None, tell: Tell) -> Outcome:
        """See `Objective.run`."""
        config = self.trial_config(values, repeat)
        workdir.parent.mkdir(parents=True, exist_ok=True)
        with log_file(workdir).open("a") as log, contextlib.redirect_stdout(log):
            if config.model.name in classical.BASELINES:
                classical.fit(config, workdir, display=PlainDisplay())
            else:
                train.fit(
                    config,
                    workdir,
                    display=PlainDisplay(),
                    watch=lambda step, numbers: tell(step, numbers[self.metric]),
                )
        return self.outcome(workdir)

    def outcome(self, workdir: Path) -> Outcome:
        """Of a run that is complete.

        Raises:
          UserError: the metric was never finite.
        """
        folder = Workdir(workdir)
        rows = [row for row in read_rows(folder.metrics) if row["split"] == "validation"]
        values = [row[self.metric] for row in rows if row.get(self.metric) is not None]
        if not values:
            raise UserError(f"The validation {self.metric} was never finite.")
        best = max(values) if self._mode == "max" else min(values)
        return Outcome(best, folder.result()["test"])

    @staticmethod
    def progress(workdir: Path) -> int:
        """How far a repeat has come for good: the step of its latest checkpoint."""
        checkpoints = workdir / "checkpoints"
        if not checkpoints.is_dir():
            return 0
        return max((int(p.name) for p in checkpoints.iterdir() if p.name.isdigit()), default=0)


class FunctionObjective:
    """Calls `function(params)`, or `function(params, report)` where it takes two arguments.

    `params` are the hyper-parameters by their names, with `seed` where trials are repeated.
    `report(step, value)` tells of a value on the way; it raises `cnnlab.train.Pruned` to end the
    trial.
    """

    def __init__(self, function: Function, *, seed: int | None = None):
        """Takes a function; `seed` of the first repeat, None where there is one only."""
        self.function, self._seed = function, seed
        parameters = inspect.signature(function).parameters.values()
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._reports = len([p for p in parameters if p.kind in positional]) >= 2

    def describe(self) -> dict[str, Any]:
        """See `Objective.describe`."""
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return {"function": name}

    def run(self, values: Values, repeat: int, workdir: Path | None, tell: Tell) -> Outcome:
        """See `Objective.run`."""
        params = dict(values)
        if self._seed is not None:
            params["seed"] = self._seed + repeat

        def report(step: int, value: float) -> None:
            if tell(step, float(value)):
                raise Pruned(step)

        arguments = (params, report) if self._reports else (params,)
        value = float(self.function(*arguments))
        if value != value:
            raise UserError("The function returned nan.")
        return Outcome(value)


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial of the study in `folder` lies."""
    return folder / "trials" / f"{number:04}"


def repeat_folder(folder: Path, number: int, repeat: int, repeats: int) -> Path:
    """Where a repeat of a trial lies: the trial's folder, or one in it where there are several."""
    trial = trial_folder(folder, number)
    return trial if repeats == 1 else trial / f"repeat{repeat}"


def log_file(workdir: Path) -> Path:
    """Where the lines go that a run prints."""
    return workdir.with_name(f"{workdir.name}.log")
