"""Members of a population have the numbers of the same runs trained alone, and their folders."""

import os
import signal

import jax
import numpy as np
import pytest

from cnnlab.config import (
    Config,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    apply_overrides,
    differences,
)
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.sweep import fit_group, group
from cnnlab.sweep.population import choice
from cnnlab.train import CompiledSteps, Diverged, Interrupted, Pruned, fit
from cnnlab.train.callbacks.base import Callback
from cnnlab.train.callbacks.json_lines import CLOCKED, read_rows
from cnnlab.train.callbacks.progress import Silence
from cnnlab.train.callbacks.pruning import Pruning
from cnnlab.train.checkpoints.writer import CheckpointReader
from cnnlab.train.engines.vmapped import VmapEngine
from cnnlab.train.experiment import build_experiment
from cnnlab.train.run_data import load_data
from cnnlab.train.runtime.workdir import Workdir
from tests.conftest import assert_trees_equal

NETWORKS = {
    "mlp": (8, {"hidden": (16,), "dropout_rate": 0.2}),
    "lenet_relu": (12, {"dropout_rate": 0.2}),
    "resnet18": (8, {"stem": "cifar", "width": 4, "stage_sizes": (1,)}),  # with batch norm
}


def base(network="mlp", **overrides):
    """A run of 12 small steps with everything that a member could get wrong."""
    size, options = NETWORKS[network]
    config = Config(
        batch_size=16,
        epochs=None,
        steps=12,
        log_every_steps=4,
        num_devices=1,
        data=DataConfig(name="digits", image_size=size),
        model=ModelConfig(name=network, options=options),
        optimizer=OptimizerConfig(
            learning_rate=0.05, weight_decay=1e-3, ema_decay=0.9, options={"momentum": 0.9}
        ),
    )
    return apply_overrides(
        config,
        {"augment.translate": 0.1, "loss.label_smoothing": 0.1, "evaluation.every_epochs": 0.07}
        | overrides,  # an evaluation every 6 steps
    )


def members(config, count=3):
    """Configs that differ in their numbers; the last two have one seed."""
    return [
        apply_overrides(
            config,
            {
                "seed": min(number, count - 2),
                "optimizer.learning_rate": 0.02 * (number + 1),
                "optimizer.weight_decay": 1e-3 * (number + 1),
                "optimizer.ema_decay": 0.8 + 0.05 * number,
                "optimizer.options.momentum": 0.8 + 0.05 * number,
                "loss.label_smoothing": 0.1 * (number + 1),
                "augment.translate": 0.05 * (number + 1),
            }
            | (
                {"model.options.dropout_rate": 0.1 * (number + 1)}
                if "dropout_rate" in config.model.options
                else {}
            ),
        )
        for number in range(count)
    ]


def folders(path, count=3):
    return [path / str(number) for number in range(count)]


def final(config, workdir):
    """Everything that the last checkpoint holds."""
    experiment = build_experiment(config, Workdir(workdir).dataset_info())
    target = {"state": experiment.abstract_state(), "metrics": experiment.zero_metrics()}
    return CheckpointReader(workdir).restore(target)


def rows(workdir):
    """All numbers that do not depend on the clock."""
    return [
        {name: value for name, value in row.items() if name not in CLOCKED}
        for row in read_rows(Workdir(workdir).metrics)
    ]


def assert_same_run(config, one, other, *, exact):
    """The states, rows and results of two folders agree, to the last bit or to rounding."""
    first, second = final(config, one), final(config, other)
    assert first.step == second.step
    if exact:
        assert_trees_equal(first.state, second.state)
        assert rows(one) == rows(other)
        return
    for left, right in zip(
        jax.tree.leaves(first.state), jax.tree.leaves(second.state), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)
    for left, right in zip(rows(one), rows(other), strict=True):
        assert left.pop("split") == right.pop("split")
        assert left == pytest.approx(right, rel=1e-4, abs=1e-5)
    results = [Workdir(folder).result() for folder in (one, other)]
    assert results[0]["checkpoint_step"] == results[1]["checkpoint_step"]
    assert results[0]["test"] == pytest.approx(results[1]["test"], rel=1e-4)


@pytest.mark.parametrize(
    "network",
    ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lenet_relu", "resnet18"))],
)
def test_members_equal_lone_runs(network, tmp_path):
    configs = members(base(network))
    found = fit_group(configs, folders(tmp_path / "vmap"), mode="vmap")
    assert [result["steps"] for result in found] == [12, 12, 12]
    shared = fit_group(configs, folders(tmp_path / "shared"), mode="shared")
    for number, config in enumerate(configs):
        assert_same_run(
            config, tmp_path / f"vmap/{number}", tmp_path / f"shared/{number}", exact=False
        )
    # A program of its own, compiled for it alone.
    alone = fit(configs[1], tmp_path / "alone", callbacks=[Silence()])
    assert_same_run(configs[1], tmp_path / "shared/1", tmp_path / "alone", exact=True)
    assert alone["test"] == shared[1]["test"]


def test_members_are_ordinary_runs(tmp_path):
    configs = members(base())
    found = fit_group(configs, folders(tmp_path), mode="vmap")
    for folder, config, result in zip(folders(tmp_path), configs, found, strict=True):
        assert not differences(Workdir(folder).config(), config)
        names = {path.name for path in folder.iterdir()}
        assert names >= {"config.json", "dataset.json", "environment.json", "metrics.jsonl"}
        assert names >= {"result.json", "checkpoints", "tensorboard", "confusion_matrix.npy"}
        run = load_run(folder)
        assert run.step == result["checkpoint_step"]
        assert np.load(folder / "confusion_matrix.npy").sum() == 359
        assert fit(config, folder, callbacks=[Silence()]) == result  # nothing is left to train
    assert fit_group(configs, folders(tmp_path), mode="vmap") == found


class Terminating(Callback):
    """Asks the process to end at an evaluation."""

    def __init__(self, at):
        self.at, self.told = at, []

    def on_evaluation(self, run, row):
        self.told.append(row["step"])
        if row["step"] == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("first", ["vmap", "shared"])
def test_sigterm_saves_all_and_either_way_goes_on(first, tmp_path):
    """Two of three have got to step 7 side by side, or one alone; the rest goes the other way."""
    configs = members(base())
    whole, parts = folders(tmp_path / "whole"), folders(tmp_path / "parts")
    fit_group(configs, whole, mode="shared")
    watch = Terminating(6)
    with pytest.raises(Interrupted) as stopped:
        fit_group(configs, parts, mode=first, callbacks=[[watch], [], []])
    assert stopped.value.step == 7  # the signal came after the step of the evaluation
    saved = [CheckpointReader(folder).steps() for folder in parts if folder.exists()]
    assert saved == [[6, 7]] * (3 if first == "vmap" else 1)
    other = {"vmap": "shared", "shared": "vmap"}[first]
    # Members at different steps: in `vmap`, one has to wait for the others.
    fit_group(configs, parts, mode=other, callbacks=[[watch], [], []])
    assert watch.told == [6, 12]
    for config, one, two in zip(configs, whole, parts, strict=True):
        assert_same_run(config, one, two, exact=False)


def test_one_that_diverges_and_one_that_is_pruned_leave_the_others_alone(tmp_path, monkeypatch):
    configs = members(base(), 4)
    configs[1] = apply_overrides(configs[1], {"optimizer.learning_rate": 1e30})
    fit_group(configs[:1], folders(tmp_path / "alone"), mode="shared")
    shrunk = []
    monkeypatch.setattr(
        VmapEngine,
        "_worth_it",
        lambda self, size, remaining: shrunk.append(size) or True,
    )
    found = fit_group(
        configs,
        folders(tmp_path / "together", 4),
        mode="vmap",
        callbacks=[[], [], [Pruning(lambda row: row["step"] == 6)], []],
    )
    assert isinstance(found[1], Diverged)
    assert "not finite at step" in str(found[1])
    assert isinstance(found[2], Pruned)
    assert found[2].step == 6
    assert [isinstance(result, dict) for result in found] == [True, False, False, True]
    assert shrunk == [2]
    assert final(configs[2], tmp_path / "together/2").step == 6
    assert_same_run(configs[0], tmp_path / "alone/0", tmp_path / "together/0", exact=False)
    assert all(np.isfinite(result["test"]["loss"]) for result in (found[0], found[3]))


def test_early_stopping_ends_one_member(tmp_path):
    """With a rate of nearly nothing no evaluation beats the first."""
    config = base(**{"evaluation.early_stopping_patience": 1, "optimizer.ema_decay": None})
    configs = members(config, 2)
    for each in configs:
        each.optimizer.ema_decay = None
    configs[0] = apply_overrides(configs[0], {"optimizer.learning_rate": 1e-12, "steps": 18})
    configs[1] = apply_overrides(configs[1], {"steps": 18})
    found = fit_group(configs, folders(tmp_path, 2), mode="vmap")
    assert found[0]["steps"] == 12
    assert found[1]["steps"] >= 12
    assert fit(configs[0], tmp_path / "0", callbacks=[Silence()]) == found[0]


def test_rows_are_shared_out_over_devices(tmp_path):
    """Three members on two devices have a row too many."""
    config = base()
    configs = members(config)
    several = [apply_overrides(c, {"num_devices": 2}) for c in configs]
    fit_group(configs, folders(tmp_path / "one"), mode="vmap")
    fit_group(several, folders(tmp_path / "two"), mode="vmap")
    for number in range(3):
        assert_same_run(
            configs[number], tmp_path / f"one/{number}", tmp_path / f"two/{number}", exact=False
        )


def test_a_mistake_in_one_config_is_its_own(tmp_path):
    configs = members(base())
    configs[0].loss.label_smoothing = 1.5
    for mode in ("vmap", "shared"):
        found = fit_group(configs, folders(tmp_path / mode), mode=mode)
        assert isinstance(found[0], UserError)
        assert "loss.label_smoothing=1.5" in str(found[0])
        assert not (tmp_path / mode / "0").exists()
        assert [result["steps"] for result in found[1:]] == [12, 12]


def test_group():
    one = base()
    other = base("lenet_relu")
    configs = [
        one,
        other,
        apply_overrides(one, {"seed": 5, "augment.translate": 0.3}),
        apply_overrides(one, {"augment.translate": 0.0}),
        apply_overrides(other, {"optimizer.options.momentum": 0.5}),
        apply_overrides(one, {"optimizer.name": "no such"}),
    ]
    assert group(configs) == [[0, 2], [1, 4], [3], [5]]
    with pytest.raises(ValueError, match="more than hyper-parameters"):
        fit_group(configs[:2], ["a", "b"])


def compiled_steps(config):
    return CompiledSteps(config, load_data(config))


def test_choice(monkeypatch):
    """What is known is not measured; what is measured decides, and is remembered."""
    choose = choice.choose
    monkeypatch.setattr(choice, "_chosen", {})
    compiled = compiled_steps(base(steps=10**6))
    assert choose(compiled, 1).mode == "shared"
    seconds = {}
    monkeypatch.setattr(choice, "_in_turn", lambda p: iter([1.0, *[seconds["a"]] * 9]))
    monkeypatch.setattr(choice, "_side_by_side", lambda p, n: iter([1.0, *[seconds["b"]] * 9]))
    for a, b, expected in ((1.0, 0.5, "vmap"), (0.5, 1.0, "shared")):
        seconds |= {"a": a, "b": b}
        choice._chosen.clear()
        found = choose(compiled, 4)
        assert (found.mode, found.seconds) == (expected, {"shared": a, "vmap": b})
    seconds |= {"a": 1.0, "b": 0.1}
    assert choose(compiled, 5).mode == "shared"  # as of 4
    assert choose(compiled_steps(base(steps=10**6, parallel="pmap")), 4).mode == "shared"
    cut = base(steps=10**6, num_devices=2, **{"sharding.parameters": 2})
    assert "sharding" in choose(compiled_steps(cut), 4).reason
    wide = base("resnet18", steps=10**6, **{"model.options.width": 16})
    convolutions = choose(compiled_steps(wide), 4)
    assert convolutions.mode == "shared"
    assert "convolutions" in convolutions.reason
    lenet = choose(  # whose products are not convolutions
        compiled_steps(base("lenet_relu", steps=10**6)), 4
    )
    assert (lenet.mode, lenet.seconds) == ("shared", {})
    seconds |= {"a": 1e-13, "b": 1e-12}
    short = choose(compiled, 9)
    assert (short.mode, short.seconds) == ("vmap", {})
    assert "too short" in short.reason


def test_choice_measures_both_ways(monkeypatch, tmp_path):
    """For real: seconds of a member's step are above zero and the smaller one wins."""
    monkeypatch.setattr(choice, "_chosen", {})
    monkeypatch.setattr(choice, "_SECONDS", 0.01)
    found = choice.choose(compiled_steps(base(steps=10**6)), 4)
    assert set(found.seconds) == {"shared", "vmap"}
    assert found.mode == min(found.seconds, key=found.seconds.get)
    results = fit_group(members(base(), 2), folders(tmp_path, 2))  # auto
    assert [result["steps"] for result in results] == [12, 12]


def test_side_by_side_needs_one_host_and_jit(tmp_path):
    configs = members(base(parallel="pmap"))
    with pytest.raises(UserError, match="parallel=pmap"):
        fit_group(configs, folders(tmp_path), mode="vmap")
