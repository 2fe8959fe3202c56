"""What the results of a study are told from: its trials as plain numbers, and sums over seeds."""

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from cnnlab.report.study_metric import Metric, Spread

State = Literal["complete", "pruned", "failed", "running", "waiting"]
STATES: tuple[State, ...] = ("complete", "pruned", "failed", "running", "waiting")


@dataclasses.dataclass(frozen=True)
class Scale:
    """How a hyper-parameter is laid out on an axis.

    Attributes:
      kind: `linear`, `log` or `choice`.
      choices: of a `choice`, in the order in which they were given.
    """

    kind: Literal["linear", "log", "choice"]
    choices: tuple[Any, ...] = ()

    def position(self, value: Any) -> float:
        """Where a value lies on an axis that is linear: its logarithm, or its choice's index."""
        if self.kind == "choice":
            return float(self.choices.index(value))
        return math.log10(value) if self.kind == "log" else float(value)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial of a study.

    Attributes:
      number: counts from 0.
      state: one of `STATES`.
      value: the metric; None unless the trial is complete.
      params: value of each hyper-parameter that this trial has, by its path in the config.
      repeats: the metric of each seed, where one trial trains several.
      tests: numbers on the test split, of each seed; they have no part in any comparison.
      curve: metric by training step, as reported while it trained.
      started: when it began.
      ended: when it finished.
      seconds: spent on it; a trial that was taken up again after a crash spent less than lies
        between start and end.
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
        """Over the repeats of a complete trial, or of its one value."""
        return None if self.value is None else Spread.of(self.repeats or (self.value,))

    @property
    def last_step(self) -> int | None:
        """The last training step at which the metric was reported."""
        return max(self.curve, default=None)

    @property
    def last_value(self) -> float | None:
        """The metric: that of the trial, or the last one that was reported."""
        return self.curve[max(self.curve)] if self.value is None and self.curve else self.value


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A config of the study: all complete trials that differ in nothing but the seed.

    Attributes:
      params: the hyper-parameters without the seed.
      trials: the best first.
      spread: over the trials, and the repeats inside of them.
    """

    params: Mapping[str, Any]
    trials: tuple[Trial, ...]
    spread: Spread


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as its trials stand.

    Attributes:
      name: of the study.
      metric: what the trials are judged by.
      trials: in the order of their numbers.
      scales: of each hyper-parameter that any trial has.
      total: how many trials were asked for, if that is known.
    """

    name: str
    metric: Metric
    trials: tuple[Trial, ...]
    scales: Mapping[str, Scale]
    total: int | None = None

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
            params = {name: x for name, x in sorted(trial.params.items()) if name != "seed"}
            groups.setdefault(repr(params), []).append(trial)
        candidates = []
        for trials in groups.values():
            trials.sort(key=lambda trial: (-self.metric.sign * trial.value, trial.number))
            values = [x for trial in trials for x in (trial.repeats or (trial.value,))]
            params = {name: x for name, x in trials[0].params.items() if name != "seed"}
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
    def repeated(self) -> bool:
        """Whether any config has been trained with more than one seed."""
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
            values += [x for s in spreads if s.n > 1 for x in (s.low, s.high)]
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
        """Hyper-parameters with more than one value, or absent from some trials; no seed."""
        varied = []
        for path in self.scales:
            values = {repr(trial.params.get(path, "unset")) for trial in self.trials}
            if path != "seed" and len(values) > 1:
                varied.append(path)
        return varied


def value_text(value: Any) -> str:
    """A hyper-parameter's value, short enough for a table."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)
