"""Objectives of trials: the protocol, and functions of hyper-parameters.

Trials that train a config are in `config_objective`.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from cnnlab.errors import UserError
from cnnlab.sweep.space.space import Values
from cnnlab.train.callbacks.pruning import Pruned

Function = Callable[..., float]
Report = Callable[[int, float], bool]


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """Result of one repeat of a trial.

    Attributes:
      value: value that the study optimizes.
      test: metrics on the test split if the trial trains a config; no decision depends on them.
    """

    value: float
    test: dict[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Job:
    """One repeat of a trial, to be started or resumed.

    Attributes:
      values: values of the hyper-parameters, by path.
      repeat: number of the repeat, from 0; each has its own seed.
      workdir: folder of this repeat; None for objectives that need none.
      report: called with the step and value of each evaluation. If it returns True, the objective
        ends with `Pruned`. It may be called again for evaluations that are already recorded.
    """

    values: Values
    repeat: int
    workdir: Path | None
    report: Report


class Objective(Protocol):
    """Computes the trials of a study."""

    def run(self, jobs: Sequence[Job]) -> list[TrialResult | Exception]:
        """Computes one job, or several of one group side by side: a result or an error each."""

    def group(self, values: Values) -> str | None:
        """Key shared by trials that can run in one program; None if a trial must run alone."""

    def side_by_side(self, values: Values, members: int) -> bool:
        """Whether `members` runs of that group are faster side by side."""


class FunctionObjective:
    """Calls `function(params)`, or `function(params, report)` where it takes two arguments.

    `params` holds the hyper-parameters by name, and `seed` if trials are repeated.
    `report(step, value)` reports an intermediate value, and raises `cnnlab.train.Pruned` if the
    trial should end.
    """

    def __init__(self, function: Function, *, seed: int | None = None):
        """Takes a function; `seed` is that of the first repeat, None if trials are not repeated."""
        self.function, self._seed = function, seed
        parameters = inspect.signature(function).parameters.values()
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._reports = len([p for p in parameters if p.kind in positional]) >= 2

    def describe(self) -> dict[str, Any]:
        """Describes the function as JSON; studies with different descriptions are different."""
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return {"function": name}

    def run(self, jobs: Sequence[Job]) -> list[TrialResult | Exception]:
        """Calls the function once for each job; its errors propagate."""
        return [self._call(job) for job in jobs]

    def _call(self, job: Job) -> TrialResult:
        params = dict(job.values)
        if self._seed is not None:
            params["seed"] = self._seed + job.repeat

        def report(step: int, value: float) -> None:
            if job.report(step, float(value)):
                raise Pruned(step)

        arguments = (params, report) if self._reports else (params,)
        value = float(self.function(*arguments))
        if value != value:
            raise UserError("The function returned nan.")
        return TrialResult(value)

    def group(self, values: Values) -> None:
        """Returns None, since a function is called for one trial at a time."""

    def side_by_side(self, values: Values, members: int) -> bool:
        return False
