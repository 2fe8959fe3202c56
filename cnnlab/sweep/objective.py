"""What a trial computes: any function of its hyper-parameters; see also `ConfigObjective`."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from cnnlab.errors import UserError
from cnnlab.sweep.space import Values
from cnnlab.train.watch import Pruned

Function = Callable[..., float]
Tell = Callable[[int, float], bool]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of one repeat of a trial.

    Attributes:
      value: what the study is about.
      test: numbers on the test split, of a run of a config; no decision rests on them.
    """

    value: float
    test: dict[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Job:
    """One repeat of a trial, to be computed or gone on with.

    Attributes:
      values: of the hyper-parameters, by path.
      repeat: counts from 0; each has its own seed.
      workdir: folder of this repeat; None for objectives that need none.
      tell: to be called with step and value on the way; where it returns True, the trial is ended
        with `Pruned`.
    """

    values: Values
    repeat: int
    workdir: Path | None
    tell: Tell


class Objective(Protocol):
    """What the trials of a study compute."""

    def describe(self) -> dict[str, Any]:
        """What it is, as JSON: two studies whose descriptions differ are not one."""

    def run(self, job: Job) -> Outcome:
        """Computes one repeat; raises what ends it."""

    def group(self, values: Values) -> str | None:
        """What those trials share that may be computed side by side; None of one that may not."""

    def side_by_side(self, values: Values, members: int) -> bool:
        """Whether so many of that group are computed faster side by side."""

    def run_group(self, jobs: Sequence[Job]) -> list[Outcome | Exception]:
        """Computes jobs of one group side by side; of each, its outcome or what ended it."""


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

    def run(self, job: Job) -> Outcome:
        """See `Objective.run`."""
        params = dict(job.values)
        if self._seed is not None:
            params["seed"] = self._seed + job.repeat

        def report(step: int, value: float) -> None:
            if job.tell(step, float(value)):
                raise Pruned(step)

        arguments = (params, report) if self._reports else (params,)
        value = float(self.function(*arguments))
        if value != value:
            raise UserError("The function returned nan.")
        return Outcome(value)

    def group(self, values: Values) -> None:
        """See `Objective.group`: a function is called for one trial at a time."""

    def side_by_side(self, values: Values, members: int) -> bool:
        """See `Objective.side_by_side`."""
        return False

    def run_group(self, jobs: Sequence[Job]) -> list[Outcome | Exception]:
        """See `Objective.run_group`."""
        raise NotImplementedError


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial of the study in `folder` lies."""
    return folder / "trials" / f"{number:04}"


def repeat_folder(folder: Path, number: int, repeat: int, repeats: int) -> Path:
    """Where a repeat of a trial lies: the trial's folder, or one in it where there are several."""
    trial = trial_folder(folder, number)
    return trial if repeats == 1 else trial / f"repeat{repeat}"
