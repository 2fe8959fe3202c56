"""Trials of a config: each trains it with some fields changed."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from cnnlab import classical
from cnnlab.config import Config, apply_overrides, from_json
from cnnlab.errors import UserError
from cnnlab.models.catalog import BASELINES
from cnnlab.plugins import load_plugins
from cnnlab.sweep.population.fitting import fit_group, preferred_mode
from cnnlab.sweep.space.space import Values
from cnnlab.sweep.study.study import Study
from cnnlab.sweep.workers.objective import Job, TrialResult
from cnnlab.train.callbacks.base import Row
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.callbacks.progress import PlainDisplay
from cnnlab.train.callbacks.pruning import Pruned, Pruning
from cnnlab.train.checkpoints.reader import numbered
from cnnlab.train.hparams import program_key
from cnnlab.train.runtime.workdir import Workdir


class ConfigObjective:
    """Trains a config; the value is the metric on the validation split at the best checkpoint.

    Every repeat is an ordinary run in its own folder, and its output goes to a file beside it.
    Trials that differ only in hyper-parameters share their compiled programs.

    Attributes:
      config: the experiment.
      metric: name of the metric that is reported and returned.
    """

    def __init__(self, study: Study):
        """Takes the config of a study, and imports its plugins.

        Raises:
          UserError: it is the study of a function.
        """
        spec = study.spec
        if "config" not in spec.objective:
            raise UserError(
                f"{study.folder} is the study of the function {spec.objective['function']}: call "
                "cnnlab.sweep.run with it to resume it."
            )
        self.config, self.metric = from_json(spec.objective["config"]), spec.metric
        self._best = max if spec.direction == "maximize" else min
        load_plugins(self.config.plugins)

    def trial_config(self, values: Values, repeat: int = 0) -> Config:
        """Returns the config of a repeat, whose seed is the trial's plus `repeat`."""
        config = apply_overrides(self.config, values)
        return dataclasses.replace(config, seed=config.seed + repeat)

    def run(self, jobs: Sequence[Job]) -> list[TrialResult | Exception]:
        if self.trial_config(jobs[0].values).model.name in BASELINES:
            return [self._fit_baseline(job) for job in jobs]
        ended = [self._report_saved(job) for job in jobs]
        left = [job for job, pruned in zip(jobs, ended, strict=True) if pruned is None]
        found = iter(self._fit(left, "vmap" if len(jobs) > 1 else "shared"))
        return [next(found) if pruned is None else pruned for pruned in ended]

    def _report_saved(self, job: Job) -> Pruned | None:
        """Reports the evaluations before the latest checkpoint, which the run will not repeat.

        The study lacks them if the end of its journal was lost.
        """
        saved = self.progress(job.workdir)
        for row in _evaluations(job.workdir):
            if row["step"] <= saved and job.report(row["step"], self._value(row)):
                return Pruned(row["step"])
        return None

    def _value(self, row: Row) -> float:
        value = row.get(self.metric)
        return math.nan if value is None else value

    def _fit_baseline(self, job: Job) -> TrialResult:
        config = self.trial_config(job.values, job.repeat)
        classical.fit(config, job.workdir, display=_log_display(job.workdir))
        return self._outcome(job.workdir)

    def group(self, values: Values) -> str | None:
        """The program key of the trial's config."""
        try:
            config = self.trial_config(values)
            return None if config.model.name in BASELINES else program_key(config)
        except UserError:  # which the trial will report
            return None

    def side_by_side(self, values: Values, members: int) -> bool:
        try:
            return preferred_mode(self.trial_config(values), members) == "vmap"
        except UserError:  # which the trial will report
            return False

    def _fit(self, jobs: Sequence[Job], mode: str) -> list[TrialResult | Exception]:
        found = fit_group(
            [self.trial_config(job.values, job.repeat) for job in jobs],
            [job.workdir for job in jobs],
            callbacks=[[_log_display(job.workdir), self._pruning(job)] for job in jobs],
            mode=mode,
        )
        outcomes: list[TrialResult | Exception] = []
        for job, one in zip(jobs, found, strict=True):
            try:
                outcomes.append(one if isinstance(one, Exception) else self._outcome(job.workdir))
            except UserError as error:
                outcomes.append(error)
        return outcomes

    def _pruning(self, job: Job) -> Pruning:
        return Pruning(lambda row: job.report(row["step"], self._value(row)))

    def _outcome(self, workdir: Path) -> TrialResult:
        """The result of a complete run; raises a `UserError` if the metric was never finite."""
        values = [self._value(row) for row in _evaluations(workdir)]
        values = [value for value in values if not math.isnan(value)]
        if not values:
            raise UserError(f"The validation {self.metric} was never finite.")
        return TrialResult(self._best(values), Workdir(workdir).result()["test"])

    @staticmethod
    def progress(workdir: Path) -> int:
        """Returns the step of a run's latest checkpoint; 0 if there is none."""
        return max(numbered(workdir / "checkpoints"), default=0)


def _evaluations(workdir: Path) -> list[Row]:
    rows = read_rows(Workdir(workdir).metrics)
    return [row for row in rows if row["split"] == "validation"]


def _log_display(workdir: Path) -> PlainDisplay:
    """Appends plain lines to a file beside the run's folder."""
    path = workdir.with_name(f"{workdir.name}.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    return PlainDisplay(path)
