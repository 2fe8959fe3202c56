"""Reads an Optuna study into plain numbers for tables and pictures."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from cnnlab.report.study_page.data import Scale, StudyResults, Trial
from cnnlab.report.study_page.metric import Metric

# Key of a trial's record of an evaluation, before its number: training step, pruner's decision.
EVALUATION = "cnnlab:evaluation:"

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def trial_folder(folder: Path, number: int) -> Path:
    """Returns the folder of a trial of the study in `folder`."""
    return folder / "trials" / f"{number:04}"


def read_study(
    study: optuna.Study,
    *,
    metric: str,
    direction: str,
    total: int | None = None,
    folder: Path | None = None,
) -> StudyResults:
    """Reads the current trials from the study's storage.

    Args:
      study: Optuna study with config paths as parameter names.
      metric: name of the metric.
      direction: `maximize` or `minimize`.
      total: requested number of trials.
      folder: folder of the study with its trials' runs; None if its trials are not runs.
    """
    frozen = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    trials = tuple(_read_trial(trial, folder) for trial in frozen)
    distributions: dict[str, list[BaseDistribution]] = {}
    for key, distribution in (item for trial in frozen for item in trial.distributions.items()):
        distributions.setdefault(_path(key), []).append(distribution)
    scales = {path: _scale(path, found, trials) for path, found in distributions.items()}
    # A function's value is not measured on any split.
    told = Metric(metric, direction, "" if metric == "value" else "validation")
    return StudyResults(study.study_name, told, trials, scales, total)


def _read_trial(trial: FrozenTrial, folder: Path | None) -> Trial:
    attributes = trial.user_attrs
    state, reason = _STATES[trial.state], attributes.get("reason", "")
    if attributes.get("failed"):
        state = "failed"
    if state == "running" and attributes.get("released"):
        state = "waiting"  # its worker was stopped, and nobody has resumed it yet
    value = trial.value if trial.state is TrialState.COMPLETE else None
    if value is not None and not math.isfinite(value):
        state, value, reason = "failed", None, reason or f"its value is {value}"
    seconds = attributes.get("seconds")
    if seconds is None and trial.datetime_start and trial.datetime_complete:
        seconds = (trial.datetime_complete - trial.datetime_start).total_seconds()
    outcomes = attributes.get("outcomes", ())
    return Trial(
        number=trial.number,
        state=state,
        value=value,
        params={_path(key): value for key, value in trial.params.items()},
        repeats=tuple(value for value, _ in outcomes),
        tests=tuple(test for _, test in outcomes),
        curve={step: x for step, x in learning_curve(trial).items() if math.isfinite(x)},
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        seconds=seconds,
        workdir="" if folder is None else str(trial_folder(folder, trial.number)),
        reason=reason,
    )


def learning_curve(trial: FrozenTrial) -> dict[int, float]:
    """Returns the reported values by training step; Optuna has them by evaluation, from 1."""
    marks = (trial.system_attrs.get(f"{EVALUATION}{n}") for n in trial.intermediate_values)
    pairs = zip(marks, trial.intermediate_values.items(), strict=True)
    return dict(sorted((mark["step"] if mark else n, value) for mark, (n, value) in pairs))


def _path(key: str) -> str:
    """Returns the path of a field from the key of its hyper-parameter, `space.Entry.key`."""
    return re.sub(r" \(\d+\)$", "", key)


def _scale(path: str, found: list[BaseDistribution], trials: Sequence[Trial]) -> Scale:
    """The scale of a field that may have several ranges."""
    listed = [d for d in found if isinstance(d, CategoricalDistribution)]
    if listed:
        choices = [choice for distribution in listed for choice in distribution.choices]
        choices += [trial.params[path] for trial in trials if path in trial.params]
        return Scale("choice", tuple(dict.fromkeys(choices)))
    return Scale("log" if all(distribution.log for distribution in found) else "linear")
