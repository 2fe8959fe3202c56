"""Samplers: functions of seed, number and results; lists without repetition; they find optima."""

import collections

import optuna
import pytest
from optuna.trial import TrialState

from cnnlab.errors import UserError
from cnnlab.sweep.samplers import make_sampler
from cnnlab.sweep.space import Space

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


def trial(space, values, result, state=TrialState.COMPLETE):
    entries = {entry.key: entry.param for entry in space.entries if entry.key in values}
    return optuna.trial.create_trial(
        state=state,
        params=space.store(values),
        distributions={key: param.distribution() for key, param in entries.items()},
        value=result if state is TrialState.COMPLETE else None,
    )


def play(sampler, space, objective, count):
    """Asks and tells, one trial after the other."""
    results = []
    for number in range(count):
        proposal = sampler.propose(number, results)
        if proposal is None:
            break
        told = trial(space, proposal.values, objective(space.by_path(proposal.values)))
        told.system_attrs.update(proposal.notes)
        results.append(told)
    return results


@pytest.mark.parametrize("name", ["random", "sobol", "tpe", "cmaes"])
def test_proposals_depend_on_seed_number_and_results_only(name):
    def objective(values):
        return -abs(values["x"] - 1)

    results = play(make_sampler(name, MIXED, seed=3, direction="maximize"), MIXED, objective, 14)
    # New ones, asked in another order, without having proposed what came before.
    for number in (13, 2, 7):
        fresh = make_sampler(name, MIXED, seed=3, direction="maximize")
        again = fresh.propose(number, results[:number])
        assert MIXED.store(again.values) == results[number].params
    other = make_sampler(name, MIXED, seed=4, direction="maximize").propose(0, ())
    assert MIXED.store(other.values) != results[0].params
    for one in results:
        assert one.params["rate"] * one.params["width"] <= 16
        assert ("depth" in one.params) == (one.params["name"] == "b")


@pytest.mark.parametrize("name", ["grid", "random", "sobol", "tpe"])
def test_lists_are_gone_through_without_repetition(name):
    sampler = make_sampler(name, LISTS, seed=0, direction="minimize")
    assert sampler.count == len(LISTS.grid()) == 8
    results = play(sampler, LISTS, lambda values: values["x"], 20)
    assert len(results) == 8
    seen = [LISTS.restore(one.params) for one in results]
    assert sorted(map(repr, seen)) == sorted(map(repr, LISTS.grid()))
    assert (seen == LISTS.grid()) == (name == "grid")


@pytest.mark.parametrize(("name", "count"), [("tpe", 60), ("cmaes", 60)])
def test_informed_samplers_do_better_than_random(name, count):
    space = Space({"x": "uniform(-5, 5)", "rate": "log(1e-4, 1)"})

    def objective(values):
        return (values["x"] - 2) ** 2 + (values["rate"] - 0.01) ** 2 * 1e4

    def best(sampler):
        played = play(make_sampler(sampler, space, seed=0, direction="minimize"), space,
                      objective, count)  # fmt: skip
        return min(one.value for one in played)

    assert best(name) < best("random") / 3


def test_tpe_keeps_away_from_what_failed():
    """The largest rates diverge. Told of that, it draws fewer of them than if it had not been."""
    space = Space({"rate": "log(1e-4, 1)"})

    def failures(told):
        results, failed = [], 0
        sampler = make_sampler("tpe", space, seed=0, direction="maximize")
        for number in range(40):
            values = sampler.propose(number, results).values
            state = TrialState.FAIL if values["rate"] > 0.03 else TrialState.COMPLETE
            if told or state is TrialState.COMPLETE:
                results.append(trial(space, values, values["rate"], state))
            failed += state is TrialState.FAIL and number >= 10
        return failed

    assert failures(told=True) < 0.7 * failures(told=False)


def test_running_trials_are_not_proposed_again():
    """Four proposals at once, none of which knows another's result, differ."""
    space = Space({"x": "uniform(0, 1)"})
    sampler = make_sampler("tpe", space, seed=0, direction="maximize")
    results = play(sampler, space, lambda values: -((values["x"] - 0.5) ** 2), 20)
    for number in range(20, 24):
        values = sampler.propose(number, results).values
        results.append(trial(space, values, None, TrialState.RUNNING))
    proposed = [one.params["x"] for one in results[20:]]
    assert len({round(x, 3) for x in proposed}) == 4


def test_sobol_leaves_no_gaps():
    space = Space({"x": "uniform(0, 8)", "y": "uniform(0, 8)"})

    def worst(name):
        sampler = make_sampler(name, space, seed=0, direction="minimize")
        points = [sampler.propose(n, ()).values for n in range(64)]
        return max(collections.Counter((int(p["x"]), int(p["y"])) for p in points).values())

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
        make_sampler(name, space, seed=0, direction="maximize").propose(0, ())
