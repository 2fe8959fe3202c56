"""A study in one process: resumed, extended, contradicted; failures, repeats, early ends."""

import dataclasses
import json
import math
import os
import random
import signal

import numpy as np
import pytest

from cnnlab import inference, sweep, train
from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.sweep.study.study import open_study
from cnnlab.train import Interrupted
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.runtime.workdir import Workdir
from tests.sweep.objectives import curve, parabola

SPACE = {"x": "uniform(0, 1)"}


def told(results):
    """All that a study says, but for clocks and places."""
    return [
        dataclasses.replace(t, started=None, ended=None, seconds=None, workdir="")
        for t in results.trials
    ]


def lines(results):
    return [(t.state, t.params, t.value, t.curve) for t in results.trials]


def test_in_memory():
    results = sweep.run(SPACE, parabola, trials=40)
    assert results.counts == {"complete": 40}
    assert abs(results.best.params["x"] - 0.7) < 0.02
    assert results.best.trials[0].value == min(t.value for t in results.trials)
    results = sweep.run({"x": [0.1, 0.5, 0.9]}, lambda p: p["x"], sampler="grid",
                        direction="maximize")  # fmt: skip
    assert results.best.params == {"x": 0.9}


@pytest.mark.parametrize("sampler", ["random", "sobol", "tpe", "cmaes"])
def test_a_study_in_parts_is_the_study(sampler, tmp_path):
    """Stopped by signals and extended by later calls, it tells the same in the end."""

    def stopping(params, report):
        if dice.random() < 0.3:
            os.kill(os.getpid(), signal.SIGTERM)
        return curve(params, report)

    options = {"sampler": sampler, "pruner": "asha", "direction": "maximize", "seed": 2}
    whole = sweep.run(SPACE, curve, folder=tmp_path / "whole", trials=16, **options)
    assert 0 < whole.counts["pruned"] < 16
    dice, stops = random.Random(0), 0
    stopping.__qualname__ = "curve"
    for trials in (7, 16):
        while True:
            try:
                parts = sweep.run(
                    SPACE, stopping, folder=tmp_path / "parts", trials=trials, **options
                )
                break
            except Interrupted as stop:
                assert stop.signum == signal.SIGTERM
                stops += 1
    assert stops >= 3
    assert told(parts) == told(whole)
    again = sweep.run(SPACE, curve, folder=tmp_path / "parts", **options)
    assert told(again) == told(whole)


def test_another_study_in_the_folder(tmp_path):
    sweep.run(SPACE, parabola, folder=tmp_path, trials=2, constraints=["x < 2"])
    journal = (tmp_path / "journal.log").read_text()
    with pytest.raises(UserError) as error:
        sweep.run({"x": "uniform(0, 2)", "y": [1, 2]}, curve, folder=tmp_path, trials=2, seed=1,
                  sampler="random", repeats=2)  # fmt: skip
    for line in (
        "holds another study (saved -> asked):",
        "objective: parabola -> curve",
        "param x: uniform(0.0, 1.0) -> uniform(0.0, 2.0)",
        "param y: none -> [1, 2]",
        "constraints: ['x < 2'] -> []",
        "sampler: tpe -> random",
        "seed: 0 -> 1",
        "repeats: 1 -> 2",
        "Choose another folder for the study",
    ):
        assert line in str(error.value)
    assert (tmp_path / "journal.log").read_text() == journal


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"trials": None}, "Say how many trials"),
        ({"sampler": "tp"}, "Unknown sampler 'tp'"),
        ({"pruner": "hyperband"}, "hyperband must know"),
        ({"workers": 0}, "workers=0 must be at least 1"),
        ({"workers": 2}, "needs a folder"),
        ({"repeats": 0}, "repeats=0 must be at least 1"),
        ({"population": "many"}, "population=many must be auto, off, or a number"),
        ({"direction": "up"}, "direction='up' must be"),
        ({"space": {}}, "The space is empty"),
        ({"space": {"x": 3}}, "x=3 is not a range"),
        ({"space": {"seed": [1, 2]}, "repeats": 2}, "seed is searched already"),
    ],
)
def test_mistakes(changes, sentence):
    calls = []
    arguments = {"space": SPACE, "objective": calls.append, "trials": 3} | changes
    with pytest.raises(UserError, match=sentence):
        sweep.run(**arguments)
    assert not calls


def test_failures_are_recorded_and_the_study_goes_on(tmp_path):
    def fragile(params):
        match params["case"]:
            case "nan":
                return math.nan
            case "memory":
                raise MemoryError("no 3 GiB")
            case "device":
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
            case "bug":
                return params["cas"]
            case "user":
                raise UserError("cannot be.")
        return 1.0

    cases = ["nan", "memory", "device", "bug", "user", "fine"]
    said = []
    results = sweep.run({"case": cases}, fragile, sampler="grid", folder=tmp_path,
                        report=said.append)  # fmt: skip
    reasons = [trial.reason for trial in results.trials]
    assert reasons[0] == "The function returned nan."
    assert reasons[1] == "out of memory: no 3 GiB"
    assert reasons[2].startswith("out of memory: RESOURCE_EXHAUSTED")
    assert reasons[3] == "KeyError: 'cas'"
    assert reasons[4] == "cannot be."
    assert results.counts == {"complete": 1, "failed": 5}
    assert results.best.params == {"case": "fine"}
    assert "fragile" in (tmp_path / "trials" / "0003" / "error.txt").read_text()
    assert not (tmp_path / "trials" / "0004").exists()  # a sentence is all there is to say
    assert len(said) == 6
    assert "[4/6] trial 3  case=bug  failed: KeyError: 'cas'" in said[3]


def test_repeats(tmp_path):
    """Mean, spread and interval over seeds; a failure names the repeat; resumed in between."""
    seeds = []

    def noisy(params):
        seeds.append(params["seed"])
        if len(seeds) == 5:  # the second repeat of the second trial
            os.kill(os.getpid(), signal.SIGTERM)
        return params["x"] + [0.0, 0.3, 0.6][params["seed"] - 7]

    def study():
        return sweep.run({"x": [0.0, 1.0]}, noisy, sampler="grid", folder=tmp_path, repeats=3,
                         seed=7, direction="maximize")  # fmt: skip

    with pytest.raises(Interrupted):
        study()
    results = study()
    assert seeds == [7, 8, 9, 7, 8, 9]
    assert [t.repeats for t in results.trials] == [
        pytest.approx((0.0, 0.3, 0.6)),
        pytest.approx((1.0, 1.3, 1.6)),
    ]
    spread = results.best.spread
    assert (spread.mean, spread.sd, spread.n) == (pytest.approx(1.3), pytest.approx(0.3), 3)
    # t(0.975, 2) = 4.303
    assert spread.high - spread.mean == pytest.approx(4.303 * 0.3 / 3**0.5, rel=1e-3)
    with pytest.raises(UserError, match="In repeat 1: too much"):

        def bad(params):
            if params["seed"] == 1:
                raise UserError("too much.")
            return 0.0

        failed = sweep.run({"x": [0, 1]}, bad, sampler="grid", repeats=2)
        raise UserError(failed.trials[0].reason)


def test_asha_spends_at_most_half_and_finds_the_winner(tmp_path):
    """27 rates with 9 evaluations each; the winner is known from the whole grid."""
    rates = [round(0.02 + 0.0375 * i, 4) for i in range(27)]
    spent = {}

    def counted(params, report):
        def count(step, value):
            spent[pruner] = spent.get(pruner, 0) + 1
            report(step, value)

        return curve(params, count)

    best = {}
    for pruner in ("none", "asha", "median"):
        results = sweep.run({"x": rates}, counted, sampler="random", pruner=pruner,
                            direction="maximize")  # fmt: skip
        best[pruner] = results.best.params
    assert spent["none"] == 27 * 9
    assert spent["asha"] <= spent["none"] / 2
    assert spent["median"] < spent["none"]
    assert best["asha"] == best["median"] == best["none"]
    assert best["none"]["x"] == min(rates, key=lambda x: abs(x - 0.7))


@pytest.fixture
def config(tiny_config):
    return apply_overrides(tiny_config, {"evaluation.every_epochs": 0.1, "log_every_steps": 20})


RATES = {"optimizer.learning_rate": [1e-5, 0.3, 1e-4, 1e-3, 1e30]}


def test_config_with_pruner(config, tmp_path):
    """Real runs: the winner trains to the end, hopeless ones end early, one diverges."""
    options = {"sampler": "grid", "pruner": "asha", "folder": tmp_path}
    results = sweep.run(RATES, config, **options)
    assert results.metric.name == "accuracy"
    assert results.metric.direction == "maximize"
    states = [trial.state for trial in results.trials]
    assert states == ["complete", "complete", "pruned", "pruned", "failed"]
    assert results.best.params == {"optimizer.learning_rate": 0.3}
    assert "not finite at step" in results.trials[4].reason

    assert sum(trial.last_step or 0 for trial in results.trials) <= 5 * 20 / 2

    # A trial is an ordinary run; its value is that of its best checkpoint.
    winner = results.best.trials[0]
    rows = [r for r in read_rows(tmp_path / "trials" / "0001" / "metrics.jsonl")
            if r["split"] == "validation"]  # fmt: skip
    assert winner.value == max(row["accuracy"] for row in rows)
    assert winner.curve == {row["step"]: row["accuracy"] for row in rows}
    run = inference.load_run(winner.workdir)
    assert run.experiment.config.optimizer.learning_rate == 0.3
    result = json.loads((tmp_path / "trials" / "0001" / "result.json").read_text())
    assert winner.tests == (result["test"],)

    # An ended one can go on by hand.
    ended = results.trials[3]
    assert ended.last_step < 20
    finished = train.fit(apply_overrides(config, {"optimizer.learning_rate": 1e-3}), ended.workdir)
    assert finished["steps"] == 20

    journal = (tmp_path / "journal.log").read_text()
    remains = tmp_path / "trials" / "0002" / "checkpoints" / "9.orbax-checkpoint-tmp"
    remains.mkdir()  # what a kill leaves of a trial that is not opened again
    again = sweep.run(RATES, config, **options)
    assert told(again) == told(results)
    assert not remains.exists()
    assert (tmp_path / "journal.log").read_text() == journal
    with pytest.raises(UserError, match=r"config.seed: 0 -> 5\n"):
        sweep.run(RATES, apply_overrides(config, {"seed": 5}), **options)


@pytest.mark.slow
def test_cross_validation(tiny_config, tmp_path):
    """Every fold once, each by its own validation split, and the spread over them."""
    config = apply_overrides(tiny_config, {"data.folds": 3})
    found = sweep.run({"data.fold": "range(3)"}, config, sampler="grid", folder=tmp_path)
    assert [trial.params["data.fold"] for trial in found.trials] == [0, 1, 2]
    values = [trial.value for trial in found.trials]
    assert len(found.candidates) == 1
    assert found.best.spread.n == 3
    np.testing.assert_allclose(found.best.spread.mean, np.mean(values))
    assert found.best.spread.sd > 0
    splits = [Workdir(trial.workdir).dataset_info() for trial in found.trials]
    assert len({info.digests["validation"] for info in splits}) == 3
    assert len({info.digests["test"] for info in splits}) == 1


def test_config_mistakes_leave_nothing_behind(config, tmp_path):
    for changes, space, options, sentence in (
        ({"data.validation_fraction": 0.0}, RATES, {}, "no validation split to choose by"),
        ({"evaluation.metric": "acuracy"}, RATES, {}, "Did you mean 'accuracy'"),
        ({"data.name": "digit"}, RATES, {}, "Unknown data set 'digit'"),
        ({}, {"optimizer.lr": [1]}, {}, "no field 'optimizer.lr'"),
        ({}, {"model.name": "[mlp, resnet18]"}, {}, "no such option"),
        ({"model.name": "resnet18", "model.options": {}}, {"seed": [0, 1]}, {}, "size is 33x33"),
        ({"evaluation.every_epochs": 9.0}, RATES, {"pruner": "asha"}, "a trial here has 1"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=sentence):
            sweep.run(space, apply_overrides(config, changes), sampler="grid",
                      folder=tmp_path / "study", **options)  # fmt: skip
        assert not (tmp_path / "study").exists()
    with pytest.raises(UserError, match="needs a folder"):
        sweep.run(RATES, config, sampler="grid")


def test_journal_with_an_unfinished_line(tmp_path):
    """As a full disk, or a machine that went down, leaves it."""
    sweep.run(SPACE, parabola, folder=tmp_path, trials=3)
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"op_code": 4, "wor')
    results = sweep.run(SPACE, parabola, folder=tmp_path, trials=5)
    assert results.counts == {"complete": 5}


def test_open_study_of_nothing(tmp_path):
    with pytest.raises(UserError, match="There is no study in"):
        open_study(tmp_path / "none", None, storage_url=None, trials=None)
    assert not (tmp_path / "none").exists()
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(UserError, match=r"study.json is damaged"):
        open_study(tmp_path, None, storage_url=None, trials=None)
    with pytest.raises(UserError, match="only postgresql://USER@HOST/DATABASE is known"):
        sweep.run(SPACE, parabola, folder=tmp_path / "x", trials=1, storage="mysql://here/study")


def test_a_renamed_study_is_the_same_study(tmp_path):
    """Its name stays; looking at it changes nothing; it can be extended where it is now."""
    sweep.run(SPACE, parabola, folder=tmp_path / "old", trials=3, sampler="random")
    journal = (tmp_path / "old" / "journal.log").read_bytes()
    (tmp_path / "old").rename(tmp_path / "new")
    study = open_study(tmp_path / "new", None, storage_url=None, trials=None)
    assert study.name == "old"
    assert study.write_results().counts == {"complete": 3}
    assert len((tmp_path / "new" / "trials.csv").read_text().splitlines()) == 4
    assert (tmp_path / "new" / "journal.log").read_bytes() == journal
    results = sweep.run(SPACE, parabola, folder=tmp_path / "new", trials=5, sampler="random")
    assert results.counts == {"complete": 5}
    # Without its journal it is reported, and not made anew.
    (tmp_path / "new" / "journal.log").unlink()
    with pytest.raises(UserError, match="The storage has no study 'old'"):
        open_study(tmp_path / "new", None, storage_url=None, trials=None)
    assert not (tmp_path / "new" / "journal.log").exists()
