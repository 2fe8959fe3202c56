"""Trials side by side in a study: the same study, to rounding, as one after the other."""

import os
import signal

import pytest

from cnnlab import sweep
from cnnlab.config import apply_overrides
from cnnlab.sweep.workers import config_objective
from cnnlab.train import Interrupted
from cnnlab.train.callbacks.pruning import Pruning

RATES = [1e-4, 0.3, 0.1, 1e-3, 1e30, 0.03]


@pytest.fixture
def config(tiny_config):
    return apply_overrides(tiny_config, {"evaluation.every_epochs": 0.1, "log_every_steps": 20})


@pytest.fixture
def groups(monkeypatch):
    """Chooses side by side always; the sizes of the groups that were trained."""
    sizes = []
    fit_group = config_objective.fit_group

    def counted(configs, workdirs, *, mode, **options):
        if mode == "vmap":
            sizes.append(len(configs))
        return fit_group(configs, workdirs, mode=mode, **options)

    monkeypatch.setattr(config_objective, "preferred_mode", lambda config, members: "vmap")
    monkeypatch.setattr(config_objective, "fit_group", counted)
    return sizes


def numbers(results):
    """What a study says, with room for rounding."""
    return [
        (
            t.state,
            t.params,
            t.value and pytest.approx(t.value, abs=0.02),
            {step: pytest.approx(x, abs=0.02) for step, x in t.curve.items()},
            len(t.repeats),
        )
        for t in results.trials
    ]


@pytest.mark.parametrize("pruner", [pytest.param("none", marks=pytest.mark.slow), "asha"])
def test_a_group_is_its_trials(pruner, config, groups, tmp_path):
    """Of two networks in turn; one rate diverges; ASHA ends some in the middle."""
    space = {"optimizer.learning_rate": RATES, "model.options.hidden": [(16,), (8,)]}
    if pruner == "asha":  # consecutive ones only
        space = dict(reversed(space.items()))
    options = {"sampler": "grid", "pruner": pruner}
    alone = sweep.run(space, config, folder=tmp_path / "alone", population="off", **options)
    assert groups == []
    together = sweep.run(space, config, folder=tmp_path / "together", population=4, **options)
    assert groups == ([4, 2, 4, 2] if pruner == "asha" else [4, 4, 2, 2])
    assert [n[:2] for n in numbers(together)] == [n[:2] for n in numbers(alone)]
    for one, other in zip(together.trials, alone.trials, strict=True):
        assert list(one.curve) == list(other.curve)
        assert one.curve == pytest.approx(other.curve, abs=0.02)
        assert one.reason == other.reason
    assert together.counts["failed"] == 2
    assert ("pruned" in together.counts) == (pruner == "asha")
    log = (tmp_path / "together" / "trials" / "0001.log").read_text()
    assert "step 20/20  validation" in log


@pytest.mark.slow
def test_repeats_are_a_group(config, groups, tmp_path):
    space = {"optimizer.learning_rate": [0.1, 1e-4, 0.3]}
    options = {"sampler": "grid", "repeats": 3, "pruner": "asha"}
    alone = sweep.run(space, config, folder=tmp_path / "alone", population="off", **options)
    together = sweep.run(space, config, folder=tmp_path / "together", population=7, **options)
    assert groups == [6, 3]
    assert [t.state for t in alone.trials] == ["complete", "pruned", "complete"]
    for one, other in zip(together.trials, alone.trials, strict=True):
        assert one.state == other.state
        assert one.repeats == pytest.approx(other.repeats, abs=0.02)
    # The pruner sees the first repeat, and ends the others with it.
    assert not (tmp_path / "together" / "trials" / "0001" / "repeat2" / "result.json").exists()


def test_an_interrupted_group_goes_on(config, groups, tmp_path, monkeypatch):
    space = {"optimizer.learning_rate": [0.1, 0.2, 0.3]}

    def study():
        return sweep.run(space, config, folder=tmp_path, sampler="grid")

    told = []
    pruning = config_objective.ConfigObjective._pruning

    def stopping(self, job):
        should_prune = pruning(self, job)._should_prune

        def told_once(row):
            told.append(row["step"])
            if len(told) == 5:  # the second evaluation of the second one
                os.kill(os.getpid(), signal.SIGTERM)
            return should_prune(row)

        return Pruning(told_once)

    monkeypatch.setattr(config_objective.ConfigObjective, "_pruning", stopping)
    with pytest.raises(Interrupted):
        study()
    results = study()
    assert groups == [3, 3]
    assert results.counts == {"complete": 3}
    assert [list(trial.curve) for trial in results.trials] == [[4, 8, 12, 16, 20]] * 3
    log = (tmp_path / "trials" / "0002.log").read_text()
    assert "Resuming at step" in log
