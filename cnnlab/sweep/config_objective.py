"""Trials of a config: each trains it with some fields changed."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnlab import classical
from cnnlab.config import Config, apply_overrides, to_json
from cnnlab.errors import UserError
from cnnlab.sweep.objective import Job, Outcome
from cnnlab.sweep.population import fit_group, preferred_mode
from cnnlab.sweep.space import Values
from cnnlab.train.display import PlainDisplay
from cnnlab.train.numbers import skeleton
from cnnlab.train.records import read_rows
from cnnlab.train.watch import Watch
from cnnlab.train.workdir import Workdir


class ConfigObjective:
    """The value is the metric on the validation split.

    It is that of the best checkpoint, the one whose weights are kept for the test split. Every
    repeat is an ordinary run in its folder; what the run has to say goes to a file beside it.
    Trials that differ only in numbers that can be traced share their compiled programs.

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

    def trial_config(self, values: Values, repeat: int = 0) -> Config:
        """The config of a repeat: seeds count up from that of the trial."""
        config = apply_overrides(self.config, values)
        return dataclasses.replace(config, seed=config.seed + repeat)

    def run(self, job: Job) -> Outcome:
        """See `Objective.run`."""
        config = self.trial_config(job.values, job.repeat)
        if config.model.name in classical.BASELINES:
            classical.fit(config, job.workdir, display=_LogDisplay(job.workdir))
            return self._outcome(job.workdir)
        (outcome,) = self._fit([job], "shared")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def group(self, values: Values) -> str | None:
        """See `Objective.group`: all but the numbers that can be traced."""
        try:
            config = self.trial_config(values)
            return None if config.model.name in classical.BASELINES else skeleton(config)
        except UserError:  # which the trial will tell of
            return None

    def side_by_side(self, values: Values, members: int) -> bool:
        """See `Objective.side_by_side`."""
        try:
            return preferred_mode(self.trial_config(values), members) == "vmap"
        except UserError:  # which the trial will tell of
            return False

    def run_group(self, jobs: Sequence[Job]) -> list[Outcome | Exception]:
        """See `Objective.run_group`."""
        return self._fit(jobs, "vmap")

    def _fit(self, jobs: Sequence[Job], mode: str) -> list[Outcome | Exception]:
        found = fit_group(
            [self.trial_config(job.values, job.repeat) for job in jobs],
            [job.workdir for job in jobs],
            watches=[self._watch(job) for job in jobs],
            displays=[_LogDisplay(job.workdir) for job in jobs],
            mode=mode,
        )
        outcomes: list[Outcome | Exception] = []
        for job, one in zip(jobs, found, strict=True):
            try:
                outcomes.append(one if isinstance(one, Exception) else self._outcome(job.workdir))
            except UserError as error:
                outcomes.append(error)
        return outcomes

    def _watch(self, job: Job) -> Watch:
        return lambda step, numbers: job.tell(step, numbers[self.metric])

    def _outcome(self, workdir: Path) -> Outcome:
        """Of a run that is complete; raises a `UserError` where the metric was never finite."""
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


class _LogDisplay:
    """Appends what a plain display prints to a file beside the run's folder."""

    def __init__(self, workdir: Path):
        self._path = workdir.with_name(f"{workdir.name}.log")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._plain = PlainDisplay()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._plain, name)

        def tell(*arguments: Any, **options: Any) -> None:
            with self._path.open("a") as log, contextlib.redirect_stdout(log):
                method(*arguments, **options)

        return tell
