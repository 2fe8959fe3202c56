"""Reads an Optuna study into the plain numbers that tables and pictures are made of."""

import math
import re
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from cnnlab.report.study_data import Scale, Study, Trial
from cnnlab.report.study_metric import Metric

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def read_study(
    study: optuna.Study, *, metric: str, direction: str, total: int | None = None
) -> Study:
    """Reads the trials as they stand in the study's storage.

    Args:
      study: with config paths as the names of its parameters.
      metric: what its values are.
      direction: `maximize` or `minimize`.
      total: how many trials were asked for.
    """
    frozen = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    trials = tuple(_read_trial(trial) for trial in frozen)
    distributions: dict[str, list[BaseDistribution]] = {}
    for key, distribution in (item for trial in frozen for item in trial.distributions.items()):
        distributions.setdefault(_path(key), []).append(distribution)
    scales = {path: _scale(path, found, trials) for path, found in distributions.items()}
    return Study(study.study_name, Metric(metric, direction), trials, scales, total)


def _read_trial(trial: FrozenTrial) -> Trial:
    attributes = trial.user_attrs
    state, reason = _STATES[trial.state], attributes.get("reason", "")
    if state == "running" and attributes.get("released"):
        state = "waiting"  # its worker was stopped, and nobody has gone on with it
    value = trial.value if trial.state is TrialState.COMPLETE else None
    if value is not None and not math.isfinite(value):
        state, value, reason = "failed", None, reason or f"its value is {value}"
    seconds = attributes.get("seconds")
    if seconds is None and trial.datetime_start and trial.datetime_complete:
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    return Trial(
        number=trial.number,
        state=state,
        value=value,
        params={_path(key): value for key, value in trial.params.items()},
        repeats=tuple(attributes.get("repeats", ())),
        tests=tuple(attributes.get("tests", ())),
        curve={s: x for s, x in sorted(trial.intermediate_values.items()) if math.isfinite(x)},
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        seconds=seconds,
        workdir=attributes.get("workdir", ""),
        reason=reason,
    )


def _path(key: str) -> str:
    """The field that a hyper-parameter of Optuna's sets: see `space.Entry.key`."""
    return re.sub(r" \(\d+\)$", "", key)


def _scale(path: str, found: list[BaseDistribution], trials: Sequence[Trial]) -> Scale:
    """The scale of a field that may have several ranges."""
    listed = [d for d in found if isinstance(d, CategoricalDistribution)]
    if listed:
        choices = [choice for distribution in listed for choice in distribution.choices]
        choices += [trial.params[path] for trial in trials if path in trial.params]
        return Scale("choice", tuple(dict.fromkeys(choices)))
    return Scale("log" if all(distribution.log for distribution in found) else "linear")
