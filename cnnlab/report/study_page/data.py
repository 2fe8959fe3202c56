"""The results of a study as plain numbers: its trials, and their summaries over seeds."""

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from cnnlab.notebook import Shown
from cnnlab.report.study_page.metric import Metric, Spread
from cnnlab.units import value_text

State = Literal["complete", "pruned", "failed", "running", "waiting"]
STATES: tuple[State, ...] = ("complete", "pruned", "failed", "running", "waiting")


@dataclasses.dataclass(frozen=True)
class Scale:
    """How a hyper-parameter is laid out on an axis.

    Attributes:
      kind: `linear`, `log` or `choice`.
      choices: values of a `choice`, in the order in which they were given.
    """

    kind: Literal["linear", "log", "choice"]
    choices: tuple[Any, ...] = ()

    def position(self, value: Any) -> float:
        """Position of a value on a linear axis: its logarithm, or the index of its choice."""
        if self.kind == "choice":
            return float(self.choices.index(value))
        return math.log10(value) if self.kind == "log" else float(value)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial of a study.

    Attributes:
      number: number of the trial, from 0.
      state: one of `STATES`.
      value: value of the metric; None unless the trial is complete.
      params: value of each hyper-parameter that this trial has, by its path in the config.
      repeats: metric of each seed if the trial trains several.
      tests: metrics on the test split for each seed; no comparison uses them.
      curve: metric by training step, as reported while it trained.
      started: time at which it began.
      ended: time at which it ended.
      seconds: computing time; less than `ended - started` if the trial was resumed after a crash.
      workdir: folder of its run.
      reason: why it failed or was pruned.
    """

    number: int
    state: State
    value: float | None = None
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    repeats: tuple[float, ...] = ()
    tests: tuple[Mapping[str, float | None], ...] = ()
    curve: Mapping[int, float] = dataclasses.field(default_factory=dict)
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    seconds: float | None = None
    workdir: str = ""
    reason: str = ""

    @property
    def spread(self) -> Spread | None:
        """Spread over the repeats of a complete trial, or of its single value."""
        return None if self.value is None else Spread.of(self.repeats or (self.value,))

    @property
    def last_step(self) -> int | None:
        """The last training step at which the metric was reported."""
        return max(self.curve, default=None)

    @property
    def last_value(self) -> float | None:
        """The metric: that of the trial, or the last one that was reported."""
        return self.curve[max(self.curve)] if self.value is None and self.curve else self.value


# Fields whose values are repetitions of one config: results are averaged over them, none is best.
REPLICATES = ("seed", "data.fold")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A config of the study: all complete trials that differ in nothing but seed and fold.

    Attributes:
      params: the hyper-parameters without seed and fold.
      trials: its trials, best first.
      spread: spread over the trials and their repeats.
    """

    params: Mapping[str, Any]
    trials: tuple[Trial, ...]
    spread: Spread


@dataclasses.dataclass(frozen=True, repr=False)
class StudyResults(Shown):
    """The current results of a study.

    Attributes:
      name: name of the study.
      metric: metric by which trials are compared.
      trials: all trials in the order of their numbers.
      scales: scale of each hyper-parameter that any trial has, by path.
      total: requested number of trials; None if unknown.
    """

    name: str
    metric: Metric
    trials: tuple[Trial, ...]
    scales: Mapping[str, Scale]
    total: int | None = None

    def _summary(self) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        best = f", best {self.metric.words} {_best_text(self)}" if self.best else ""
        return f"{self.name}: {counts or 'no trial has begun'}{best}"

    def _rows(self) -> dict[str, Any]:
        """The five best configs."""
        return {
            f"{rank}. {self.metric.spread_text(candidate.spread)}": ", ".join(
                f"{self.short_names[name]}={value_text(x)}" for name, x in candidate.params.items()
            )
            for rank, candidate in enumerate(self.candidates[:5], 1)
        }

    def with_state(self, *states: State) -> list[Trial]:
        """The trials in any of these states."""
        return [trial for trial in self.trials if trial.state in states]

    @cached_property
    def counts(self) -> dict[State, int]:
        """How many trials are in each state that occurs."""
        counts = {state: len(self.with_state(state)) for state in STATES}
        return {state: count for state, count in counts.items() if count}

    @cached_property
    def candidates(self) -> list[Candidate]:
        """Configs by their mean, the best first; of equal means, the one with more repeats."""
        groups: dict[str, list[Trial]] = {}
        for trial in self.with_state("complete"):
            params = {n: x for n, x in sorted(trial.params.items()) if n not in REPLICATES}
            groups.setdefault(repr(params), []).append(trial)
        candidates = []
        for trials in groups.values():
            trials.sort(key=lambda trial: (-self.metric.sign * trial.value, trial.number))
            values = [x for trial in trials for x in (trial.repeats or (trial.value,))]
            params = {n: x for n, x in trials[0].params.items() if n not in REPLICATES}
            candidates.append(Candidate(params, tuple(trials), Spread.of(values)))
        return sorted(
            candidates,
            key=lambda c: (-self.metric.sign * c.spread.mean, -c.spread.n, c.trials[0].number),
        )

    @property
    def best(self) -> Candidate | None:
        """The best config, or None while no trial is complete."""
        return self.candidates[0] if self.candidates else None

    @property
    def replicates(self) -> str:
        """What the runs of one config are called: seeds, or folds of a cross-validation."""
        if not any("data.fold" in trial.params for trial in self.trials):
            return "seeds"
        seeds = any("seed" in trial.params or trial.repeats for trial in self.trials)
        return "runs" if seeds else "folds"

    @property
    def repeated(self) -> bool:
        """Whether any config has been trained more than once."""
        return any(candidate.spread.n > 1 for candidate in self.candidates)

    def running_best(self) -> list[tuple[int, float]]:
        """Number of each complete trial, and the best value up to it."""
        steps, best = [], None
        for trial in self.with_state("complete"):
            if best is None or self.metric.sign * trial.value > self.metric.sign * best:
                best = trial.value
            steps.append((trial.number, best))
        return steps

    @cached_property
    def worst_shown(self) -> float | None:
        """The worst end of a trial that a picture makes room for; None where it shows all."""
        ends = [trial.last_value for trial in self.with_state("complete", "pruned")]
        return self.metric.fence([value for value in ends if value is not None])

    def metric_range(self, values: Sequence[float] | None = None) -> tuple[float, float] | None:
        """Ends of an axis with room for `values`, or all that trials ended with, but no outliers.

        In the unit in which the metric is read; None where there are no values.
        """
        if values is None:
            worst = self.worst_shown
            values = [t.last_value for t in self.trials if t.last_value is not None]
            spreads = [trial.spread for trial in self.with_state("complete")]
            values += [x for s in spreads if s.n > 1 for x in self.metric.interval(s)]
        else:
            worst = self.metric.fence(values)
        if worst is not None:
            values = [x for x in values if self.metric.sign * (x - worst) >= 0]
        if not values:
            return None
        low, high = self.metric.shown(min(values)), self.metric.shown(max(values))
        margin = 0.07 * (high - low) or abs(high) * 0.05 or 1.0
        return low - margin, high + margin

    def clamped(self, value: float) -> float:
        """A value, or that of `worst_shown` for an outlier, which pictures draw at their edge."""
        worst = self.worst_shown
        return worst if worst is not None and self.metric.sign * (value - worst) < 0 else value

    @cached_property
    def short_names(self) -> dict[str, str]:
        """The shortest end of each hyper-parameter's path that no other shares; not "name"."""
        names = {}
        for path in self.scales:
            parts = path.split(".")
            ends = (".".join(parts[-length:]) for length in range(1, len(parts) + 1))
            names[path] = next(
                end
                for end in ends
                if end == path
                or (end != "name" and sum(f".{p}".endswith(f".{end}") for p in self.scales) == 1)
            )
        return names

    @cached_property
    def varied(self) -> list[str]:
        """Hyper-parameters with several values, or absent from some trials; no `REPLICATES`."""
        varied = []
        for path in self.scales:
            values = {repr(trial.params.get(path, "unset")) for trial in self.trials}
            if path not in REPLICATES and len(values) > 1:
                varied.append(path)
        return varied


def _best_text(study: StudyResults) -> str:
    trials = study.best.trials
    numbers = ", ".join(str(trial.number) for trial in trials)
    text = study.metric.spread_text(study.best.spread)
    return f"{text} (trial{'s' if len(trials) > 1 else ''} {numbers})"
