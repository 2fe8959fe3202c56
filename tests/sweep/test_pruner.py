"""Pruners: values by hand, and the decisions of Optuna's where trials come one after the other."""

import collections
import math
import random

import optuna
import pytest

from cnnlab.errors import UserError
from cnnlab.sweep.optuna_quiet import quiet_optuna
from cnnlab.sweep.pruner import make_pruner


def test_asha_by_hand():
    asha = make_pruner("asha")
    assert [n for n in range(1, 30) if asha.asks_at(0, n)] == [1, 3, 9, 27]
    assert not asha.ends(5, [0.1], {})  # alone
    assert asha.ends(5, [0.1], {1: [0.2]})
    assert not asha.ends(5, [0.2], {1: [0.1], 2: [0.15, 0.9]})
    # Of six, two go on.
    others = dict(enumerate([[0.9], [0.7], [0.5], [0.3], [0.1]]))
    assert not asha.ends(9, [0.8], others)
    assert asha.ends(9, [0.6], others)
    # At the third evaluation only those that came that far count, by their third value.
    assert not asha.ends(9, [0.1, 0.1, 0.6], {1: [0.9, 0.9], 2: [0.9, 0.9, 0.5]})
    assert asha.ends(9, [math.nan], {})
    slow = make_pruner("asha(first=2, factor=4)")
    assert [n for n in range(1, 40) if slow.asks_at(0, n)] == [2, 8, 32]


def test_median_by_hand():
    median = make_pruner("median(startup=3)")
    others = {1: [0.1, 0.5], 2: [0.2, 0.6], 3: [0.3, 0.7]}
    assert not median.ends(4, [0.1, 0.6], others)
    assert median.ends(4, [0.1, 0.5], others)
    assert not median.ends(4, [0.65, 0.5], others)  # its best counts
    assert not median.ends(4, [0.1, 0.5], {1: [0.9, 0.9], 2: [0.9, 0.9]})  # too few
    assert not make_pruner("median(first=3)").asks_at(0, 2)


def test_hyperband_brackets():
    """27 evaluations make brackets that begin at 1, 3, 9 and 27, the early ones the largest."""
    hyperband = make_pruner("hyperband", evaluations=27)
    first = [next(n for n in range(1, 28) if hyperband.asks_at(number, n)) for number in range(200)]
    counts = collections.Counter(first)
    assert sorted(counts) == [1, 3, 9, 27]
    assert counts[1] > counts[3] > counts[9] > counts[27]
    # Trials of other brackets are not compared with.
    early = [number for number in range(200) if first[number] == 1]
    late = [number for number in range(200) if first[number] == 3]
    assert not hyperband.ends(early[0], [0.1], {late[0]: [0.9]})
    assert hyperband.ends(early[0], [0.1], {early[1]: [0.9]})


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        (
            "asha",
            optuna.pruners.SuccessiveHalvingPruner(
                min_resource=1, reduction_factor=3, min_early_stopping_rate=0
            ),
        ),
        (
            "asha(first=2, factor=4)",
            optuna.pruners.SuccessiveHalvingPruner(
                min_resource=2, reduction_factor=4, min_early_stopping_rate=0
            ),
        ),
    ],
)
def test_same_decisions_as_optuna(name, peer):
    ours, dice = make_pruner(name), random.Random(0)
    with quiet_optuna():
        study = optuna.create_study(direction="maximize", pruner=peer)
    curves, ended = {}, 0
    for number in range(60):
        trial, curve = study.ask(), []
        level = dice.random()
        for step in range(1, 13):
            curve.append(level + 0.2 * dice.random())
            trial.report(curve[-1], step)
            ends = ours.asks_at(number, step) and ours.ends(number, curve, curves)
            assert ends == trial.should_prune(), (number, step)
            if ends:
                break
        ended += ends
        curves[number] = curve
        study.tell(trial, state=optuna.trial.TrialState.PRUNED if ends else None,
                   values=None if ends else curve[-1])  # fmt: skip
    assert 30 < ended < 60


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
