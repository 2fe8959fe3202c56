"""Samplers: functions of seed, number and results; lists without repetition; they find optima."""

import collections

import optuna
import pytest
from optuna.trial import TrialState

from cnnlab.errors import UserError
from cnnlab.sweep.sampling.sampler import SpaceSampler
from cnnlab.sweep.space.space import Space
from cnnlab.sweep.study.optuna_quiet import quiet_optuna

MIXED = Space(
    {
        "x": "uniform(-5, 5)",
        "rate": "log(1e-4, 1)",
        "width": "logint(8, 64)",
        "name": ["a", "b"],
        "depth": "[(1,), (2, 3)] if name == b",
    },
    ["rate * width <= 16"],
)
LISTS = Space({"x": [0, 1, 2], "y": "[a, b]", "z": "int(1, 2) if y == b"}, ["x + z <= 3"])


def make_study(name, space, *, seed=0, direction="maximize", results=()):
    """A study in memory, with trials that another one has played."""
    with quiet_optuna():
        study = optuna.create_study(
            sampler=SpaceSampler(name, space, seed=seed), direction=direction
        )
        study.add_trials(results)
    return study


def play(study, space, objective, count):
    """Asks and tells, one trial after the other; returns the trials."""
    with quiet_optuna():
        for _ in range(count):
            trial = study.ask()
            study.tell(trial, objective(space.suggest(trial)))
    return study.trials


def params(trials):
    return [trial.params for trial in trials]


@pytest.mark.parametrize("name", ["random", "sobol", "tpe", "cmaes"])
def test_proposals_depend_on_seed_number_and_results_only(name):
    def objective(values):
        return -abs(values["x"] - 1)

    results = play(make_study(name, MIXED, seed=3), MIXED, objective, 14)
    # New samplers, asked in another order, without having proposed what came before.
    for number in (13, 2, 7):
        again = make_study(name, MIXED, seed=3, results=results[:number])
        assert params(play(again, MIXED, objective, 1)[number:]) == params([results[number]])
    other = play(make_study(name, MIXED, seed=4), MIXED, objective, 1)
    assert params(other) != params(results[:1])
    for one in results:
        assert one.params["rate"] * one.params["width"] <= 16
        assert ("depth" in one.params) == (one.params["name"] == "b")


@pytest.mark.parametrize("name", ["random", "sobol", "tpe", "cmaes"])
def test_a_trial_that_is_taken_up_keeps_its_values(name):
    """Also where its worker died between two of them, and others have told results since."""
    study = make_study(name, MIXED)
    play(study, MIXED, lambda values: values["x"], 12)
    with quiet_optuna():
        trial = study.ask()
        first = trial.suggest_categorical("name", ["a", "b"])
        play(study, MIXED, lambda values: -values["x"], 3)
        resumed = optuna.trial.Trial(study, study.trials[12]._trial_id)
        values = MIXED.suggest(resumed)
        assert (resumed.number, values["name"]) == (12, first)
        assert values == MIXED.suggest(trial)
        study.tell(resumed, 1.0)
    assert study.trials[12].state is TrialState.COMPLETE


@pytest.mark.parametrize("name", ["grid", "random", "sobol", "tpe"])
def test_lists_are_gone_through_without_repetition(name):
    study = make_study(name, LISTS, direction="minimize")
    assert study.sampler.count == len(LISTS.grid()) == 8
    results = play(study, LISTS, lambda values: values["x"], 8)
    seen = [LISTS.restore(one.params) for one in results]
    assert sorted(map(repr, seen)) == sorted(map(repr, LISTS.grid()))
    assert (seen == LISTS.grid()) == (name == "grid")


@pytest.mark.parametrize(("name", "count"), [("tpe", 60), ("cmaes", 60)])
def test_informed_samplers_do_better_than_random(name, count):
    space = Space({"x": "uniform(-5, 5)", "rate": "log(1e-4, 1)"})

    def objective(values):
        return (values["x"] - 2) ** 2 + (values["rate"] - 0.01) ** 2 * 1e4

    def best(sampler):
        study = make_study(sampler, space, direction="minimize")
        return min(one.value for one in play(study, space, objective, count))

    assert best(name) < best("random") / 3


@pytest.mark.peer
def test_gp_does_better_than_random():
    pytest.importorskip("torch", reason="pip install 'cnnlab[gp]'")
    space = Space({"x": "uniform(-5, 5)", "kind": ["a", "b"]}, ["x > -4"])

    def best(sampler):
        study = make_study(sampler, space, direction="minimize")
        played = play(study, space, lambda v: (v["x"] - 2) ** 2 + (v["kind"] == "a"), 16)
        return min(one.value for one in played)

    assert best("gp") < best("random") / 3


def test_tpe_keeps_away_from_what_failed():
    """The largest rates diverge. Told of that, it draws fewer of them than if it had not been.

    `workers.trial` tells Optuna of a failure as of a trial that was pruned at once.
    """
    space = Space({"rate": "log(1e-4, 1)"})

    def failures(told):
        study, failed = make_study("tpe", space), 0
        with quiet_optuna():
            for number in range(40):
                trial = study.ask()
                rate = space.suggest(trial)["rate"]
                if rate <= 0.03:
                    study.tell(trial, rate)
                    continue
                study.tell(trial, state=TrialState.PRUNED if told else TrialState.FAIL)
                failed += number >= 10
        return failed

    assert failures(told=True) < 0.7 * failures(told=False)


def test_running_trials_are_not_proposed_again():
    """Four proposals at once, none of which knows another's result, differ."""
    space = Space({"x": "uniform(0, 1)"})
    study = make_study("tpe", space)
    play(study, space, lambda values: -((values["x"] - 0.5) ** 2), 20)
    with quiet_optuna():
        proposed = [space.suggest(study.ask())["x"] for _ in range(4)]
    assert len({round(x, 3) for x in proposed}) == 4


def test_sobol_leaves_no_gaps():
    space = Space({"x": "uniform(0, 8)", "y": "uniform(0, 8)"})

    def worst(name):
        played = play(make_study(name, space), space, lambda values: 0.0, 64)
        points = [(int(one.params["x"]), int(one.params["y"])) for one in played]
        return max(collections.Counter(points).values())

    assert worst("sobol") == 1  # one in each of 64 cells
    assert worst("random") > 2


@pytest.mark.parametrize(
    ("name", "space", "sentence"),
    [
        ("tp", LISTS, "Unknown sampler 'tp'. Did you mean 'tpe'"),
        ("tpe(start=3)", LISTS, "tpe has no option 'start'. Did you mean 'startup'"),
        ("tpe(startup=0)", LISTS, "must be a whole number of at least 1"),
        ("cmaes", LISTS, "cmaes searches ranges of numbers"),
        ("random", Space({"x": "uniform(0, 1)"}, ["x > 2"]), "none fulfils the constraint 'x > 2'"),
        ("sobol", Space({"x": "uniform(0, 1)"}, ["x > 2"]), "none fulfils the constraint 'x > 2'"),
    ],
)
def test_mistakes(name, space, sentence):
    with pytest.raises(UserError, match=sentence):
        play(make_study(name, space), space, lambda values: 0.0, 1)
