"""Pruners are Optuna's, with evaluations counted from 1; a lost decision is made again."""

import math

import optuna
import pytest
from optuna.trial import TrialState

from cnnlab.errors import UserError
from cnnlab.sweep.sampling.pruner import make_pruner
from cnnlab.sweep.study.optuna_quiet import quiet_optuna


def ends(pruner, curve, others=(), *, numbers=1):
    """After which evaluation trials with that curve are ended; None: after none."""
    with quiet_optuna():
        # Hyperband takes the bracket of a trial from the name of its study.
        study = optuna.create_study(study_name="brackets", direction="maximize", pruner=pruner)
        for other in [*others, *[curve] * numbers]:
            trial = study.ask()
            for count, value in enumerate(other, start=1):
                trial.report(value, count)
                if trial.should_prune():
                    study.tell(trial, state=TrialState.PRUNED)
                    break
            else:
                study.tell(trial, other[-1])
    last = study.trials[-1]
    return last.last_step if last.state is TrialState.PRUNED else None


def test_asha_by_hand():
    asha = make_pruner("asha")
    assert ends(asha, [0.1] * 9) is None  # alone
    assert ends(asha, [0.1], [[0.2]]) == 1
    assert ends(asha, [0.2], [[0.1], [0.15, 0.9]]) is None
    # Of six, two go on.
    others = [[0.1], [0.3], [0.5], [0.7], [0.9]]
    assert ends(asha, [0.8], others) is None
    assert ends(asha, [0.6], others) == 1
    # The next decision is after the third evaluation, by the third value.
    assert ends(asha, [0.9, 0.1, 0.5], [[0.5, 0.9, 0.6]]) == 3
    assert ends(asha, [0.9, 0.1, 0.7], [[0.5, 0.9, 0.6]]) is None
    assert ends(asha, [math.nan]) == 1
    slow = make_pruner("asha(first=2, factor=4)")
    assert ends(slow, [0.1, 0.9], [[0.9, 0.5]]) is None
    assert ends(slow, [0.1, 0.4], [[0.9, 0.5]]) == 2
    rungs = [[0.9, *[0.5] * 7]]
    assert ends(slow, [0.9, 0.6, *[0.1] * 6], rungs) == 8


def test_median_by_hand():
    median = make_pruner("median(startup=3)")
    others = [[0.1, 0.5], [0.2, 0.6], [0.3, 0.7]]
    assert ends(median, [0.2, 0.6], others) is None
    assert ends(median, [0.2, 0.5], others) == 2
    assert ends(median, [0.65, 0.5], others) is None  # its best counts
    assert ends(median, [0.1, 0.5], [[0.9, 0.9], [0.9, 0.9]]) is None  # too few
    assert ends(make_pruner("median(first=3, startup=3)"), [0.1, 0.1, 0.1],
                [[0.2] * 3, [0.3] * 3, [0.4] * 3]) == 3  # fmt: skip


def test_hyperband_has_brackets_that_begin_late():
    """27 evaluations make brackets that begin at 1, 3, 9 and 27; of a bad trial, one ends it."""
    hyperband, good = make_pruner("hyperband", evaluations=27), [0.9] * 27
    found = {ends(hyperband, [0.1] * 27, [good] * 30, numbers=count) for count in range(1, 31)}
    assert found == {1, 3, 9, 27}


@pytest.mark.parametrize(
    ("name", "evaluations", "sentence"),
    [
        ("ahsa", None, "Unknown pruner 'ahsa'. Did you mean 'asha'"),
        ("asha(factor=1)", None, "factor=1"),
        ("asha(min=1)", None, "asha has no option 'min'"),
        ("asha", 1, "a trial here has 1: lower evaluation.every_epochs"),
        ("hyperband", None, "hyperband must know how often"),
    ],
)
def test_mistakes(name, evaluations, sentence):
    with pytest.raises(UserError, match=sentence):
        make_pruner(name, evaluations=evaluations)
