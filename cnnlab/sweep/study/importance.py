"""Importance of hyper-parameters: shares of the metric's variance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from cnnlab.report.study_page.data import StudyResults, Trial
from cnnlab.sweep.study.optuna_quiet import quiet_optuna

FEWEST_TRIALS = 10  # with fewer it is often wrong: benchmarks/importance.py
_MOST_TRIALS = 300  # the forest's time grows faster than the trials: 2 s at 200, 10 s at 600


def importances(
    study: StudyResults, *, fewest: int = FEWEST_TRIALS
) -> tuple[dict[str, float], str]:
    """Computes the share of the metric's variance that each hyper-parameter explains alone.

    fANOVA (Hutter, Hoos & Leyton-Brown 2014, ICML), which is Optuna's: a random forest is fitted to
    the complete trials. Three things differ from calling Optuna's with the study. A hyper-parameter
    that was searched on a logarithmic axis enters as its logarithm; as a plain number, nearly all
    of its axis would be the upper end of its range. One that only some trials have is given, in the
    others, values drawn from those trials, so that it takes no credit for what made it exist. And
    trials that diverged count as the worst one that pictures make room for
    (`StudyResults.worst_shown`). Of more than 300 trials, every second, third, ... is taken. The
    seed is among the hyper-parameters: one that matters less than the seed makes no visible
    difference.

    Args:
      study: study with the trials.
      fewest: least number of complete trials.

    Returns:
      The shares, which sum to 1, largest first, and an empty text; or no shares and the reason as a
      sentence.
    """
    trials = study.with_state("complete")
    trials = trials[:: -(-len(trials) // _MOST_TRIALS) or 1]
    columns = {name: _column(study, trials, name) for name in study.scales}
    columns = {name: column for name, column in columns.items() if len(set(column)) > 1}
    if len(trials) < fewest:
        return {}, (
            f"To tell which hyper-parameter matters takes {fewest} complete trials; there "
            f"are {len(trials)} so far."
        )
    if not columns:
        return {}, "No hyper-parameter varies among the complete trials."
    values = [study.clamped(trial.value) for trial in trials]
    if len(set(values)) == 1:
        return {}, "All complete trials have the same value: no hyper-parameter makes a difference."
    return _fanova(study, columns, values), ""


def _column(study: StudyResults, trials: Sequence[Trial], name: str) -> list[Any]:
    """Position of a hyper-parameter in each trial; drawn from other trials if it is missing."""
    scale = study.scales[name]
    present = [scale.position(t.params[name]) for t in trials if name in t.params]
    if not present:
        return []
    rng = np.random.default_rng(0)
    return [
        scale.position(t.params[name]) if name in t.params else float(rng.choice(present))
        for t in trials
    ]


def _fanova(
    study: StudyResults, columns: dict[str, list[float]], values: Sequence[float]
) -> dict[str, float]:
    distributions = {
        name: CategoricalDistribution(sorted(set(column)))
        if study.scales[name].kind == "choice"
        else FloatDistribution(min(column), max(column))
        for name, column in columns.items()
    }
    with quiet_optuna():
        shadow = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        shadow.add_trials(
            [
                optuna.trial.create_trial(
                    params={name: column[row] for name, column in columns.items()},
                    distributions=distributions,
                    value=value,
                )
                for row, value in enumerate(values)
            ]
        )
        shares = get_param_importances(shadow, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in shares.items()}
