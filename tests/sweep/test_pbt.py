"""Population-based training: who copies whom, that copies are exact, and that it pays."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from cnnlab.config import Config, DataConfig, ModelConfig, OptimizerConfig, apply_overrides
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.sweep import fit_group, log, population_based_training, uniform
from cnnlab.sweep.pbt.exploit import exploit
from cnnlab.sweep.pbt.lineage import Lineage, ancestry, read_lineage
from cnnlab.sweep.pbt.picture import draw_population
from cnnlab.train import CompiledSteps, Interrupted, fit, load_data
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.callbacks.progress import Silence
from cnnlab.train.engines.sequential import SequentialEngine
from cnnlab.train.engines.vmapped import VmapEngine
from cnnlab.train.hparams import hparams_of
from cnnlab.train.runtime.workdir import Workdir
from tests.conftest import assert_trees_equal, files_left

ROOT = Path(__file__).parents[2]
SPACE = {"optimizer.learning_rate": "log(1e-3, 0.5)", "model.options.dropout_rate": uniform(0, 0.5)}


def make_config():
    """An MLP that learns slowly, so that its learning rate matters to the end."""
    return Config(
        batch_size=16,
        epochs=None,
        steps=48,
        log_every_steps=16,
        num_devices=1,
        data=DataConfig(name="digits", image_size=8),
        model=ModelConfig(name="mlp", options={"hidden": (16,), "dropout_rate": 0.1}),
        optimizer=OptimizerConfig(learning_rate=0.05, options={"momentum": 0.5}),
    )


@pytest.fixture
def config():
    return make_config()


class Notes(Silence):
    """Keeps notes, and calls `action` at one of them."""

    def __init__(self, at=None, action=None):
        self.notes, self._at, self._action = [], at, action

    def note(self, text):
        self.notes.append(text)
        if len(self.notes) == self._at:
            self._action()


def test_the_worst_copy_the_best():
    space = {"a": log(0.01, 1.0), "b": uniform(0.0, 0.5)}
    numbers = {"a": np.linspace(0.1, 0.8, 8), "b": np.full(8, 0.48)}
    scores = np.array([5.0, 1.0, 7.0, 3.0, 8.0, 2.0, 4.0, 6.0])
    seen = set()

    def one_round(seed):
        rng = np.random.default_rng(seed)
        return exploit(space, numbers, scores, rng, truncation=0.25, resample=0.0)

    for seed in range(20):
        parents, explored = one_round(seed)
        copies = [n for n in range(8) if parents[n] != n]
        assert copies == [1, 5]  # the two worst
        assert {int(parents[n]) for n in copies} <= {2, 4}  # the two best
        for n in range(8):
            ratio = explored["a"][n] / numbers["a"][parents[n]]
            assert ratio == pytest.approx(1.0 if n not in copies else round(float(ratio), 1))
            if n in copies:
                seen.add(round(float(ratio), 1))
                assert explored["b"][n] == pytest.approx(0.384) or explored["b"][n] == 0.5
        assert_trees_equal(one_round(seed), (parents, explored))
    assert seen == {0.8, 1.2}


def test_those_who_diverged_are_replaced_and_never_copied():
    space, numbers = {"a": log(0.01, 1.0)}, {"a": np.full(4, 0.1)}
    scores = np.array([-np.inf, np.nan, -3.0, -np.inf])
    for seed in range(10):
        rng = np.random.default_rng(seed)
        parents, explored = exploit(space, numbers, scores, rng, truncation=0.5, resample=1.0)
        assert parents.tolist() == [2, 2, 2, 2]
        assert explored["a"][2] == pytest.approx(0.1)
        drawn = explored["a"][[0, 1, 3]]
        assert len(set(drawn.tolist())) == 3
        assert (drawn >= 0.01).all()
        assert (drawn <= 1.0).all()


@pytest.mark.parametrize("kind", [VmapEngine, SequentialEngine])
def test_a_copy_equals_its_parent(config, kind):
    compiled = CompiledSteps(config, load_data(config))
    configs = [apply_overrides(config, {"seed": seed}) for seed in range(3)]
    engine = kind(compiled, 3)
    engine.fill([compiled.new_carry(compiled.experiment(c)) for c in configs])
    engine.set_hparams([hparams_of(c) for c in configs])
    engine.set_seeds([0, 1, 2])
    engine.advance(range(1))
    before = engine.carries()
    engine.copy([0, 0, 2])
    after = engine.carries()
    for index, parent in enumerate([0, 0, 2]):
        assert_trees_equal(after[index]["metrics"], before[parent]["metrics"])
        for name in ("step", "params", "collections", "opt_state"):
            assert_trees_equal(
                getattr(after[index]["state"], name), getattr(before[parent]["state"], name)
            )
        assert_trees_equal(after[index]["state"].rng, before[index]["state"].rng)
    changed = jax.tree.map(
        lambda a, b: (a != b).any(), before[0]["state"].params, before[1]["state"].params
    )
    assert any(jax.tree.leaves(changed))
    engine.advance(range(1, 2))  # and they go on apart
    later = engine.carries()
    apart = jax.tree.map(
        lambda a, b: (a != b).any(), later[0]["state"].params, later[1]["state"].params
    )
    assert any(jax.tree.leaves(apart))


def members(path, count=6):
    return [path / "members" / f"{number:02}" for number in range(count)]


def train(config, path, **options):
    options = {"mode": "vmap", "display": Notes()} | options
    return population_based_training(config, SPACE, path, every_steps=8, members=6, **options)


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    """The folder, the notes and the result of a population that several tests look at."""
    folder, notes, config = tmp_path_factory.mktemp("population"), Notes(), make_config()
    config.evaluation.metric = "loss"
    return folder, notes, train(config, folder, display=notes)


def test_it_beats_its_best_fixed_member(population, tmp_path):
    """The same first numbers and seeds, with and without copying."""
    folder, _, result = population
    configs = [Workdir(run).config() for run in members(folder)]
    fixed = [tmp_path / "fixed" / str(number) for number in range(6)]
    fit_group(configs, fixed, mode="vmap")

    def best(runs):
        rows = [row for run in runs for row in read_rows(Workdir(run).metrics)]
        return min(row["loss"] for row in rows if row["split"] == "validation")

    assert result["metric"] == best(members(folder))
    assert result["metric"] < best(fixed)


def test_lineage_and_run_folders(population):
    folder, notes, result = population
    assert len(notes.notes) == 5  # after each of six evaluations but the last
    assert json.loads((folder / "result.json").read_text()) == result
    copies = 0
    for run in members(folder):
        config_there = Workdir(run).config()
        lineage = read_lineage(run)
        assert (lineage[0]["step"], lineage[0]["parent"]) == (0, None)
        numbers = hparams_of(config_there)
        assert lineage[0]["numbers"] == {path: numbers[path] for path in sorted(SPACE)}
        steps = [row["step"] for row in lineage]
        assert steps == sorted(set(steps))
        assert set(steps) <= {0, 8, 16, 24, 32, 40}
        copies += len(lineage) - 1
        for row in lineage:
            assert 1e-3 <= row["numbers"]["optimizer.learning_rate"] <= 0.5
        trained = {row["step"]: row for row in read_rows(Workdir(run).metrics)}
        assert {8, 16, 24, 32, 40, 48} <= set(trained)
        assert load_run(run).step <= 48
        # A run of its own: nothing is left to train.
        assert fit(config_there, run, callbacks=[Silence()])["steps"] == 48
    assert copies >= 5

    best = folder / "members" / f"{result['best_member']:02}"
    end = result["members"][result["best_member"]]["checkpoint_step"]
    schedule = result["schedule"]
    governing = [row for row in read_lineage(best) if row["step"] < end][-1]
    assert schedule[-1] == {
        "step": governing["step"],
        "member": result["best_member"],
        "numbers": governing["numbers"],
    }
    assert schedule[0]["step"] == 0
    assert draw_population(folder).stat().st_size > 0


def test_the_ancestors_of_a_network():
    """Member 1 copies 0 at step 10, 2 copies 1 at 20, and 1 copies 0 again at 30."""

    def row(step, parent, number):
        return {"step": step, "parent": parent, "numbers": {"a": number}}

    lineages = [
        [row(0, None, 0.1)],
        [row(0, None, 0.2), row(10, 0, 0.3), row(30, 0, 0.4)],
        [row(0, None, 0.5), row(20, 1, 0.6)],
    ]

    def short(member, end):
        found = ancestry(lineages, member, end)
        return [(one["step"], one["member"], one["numbers"]["a"]) for one in found]

    assert short(2, 40) == [(0, 0, 0.1), (10, 1, 0.3), (20, 2, 0.6)]
    assert short(2, 20) == [(0, 2, 0.5)]
    assert short(1, 40) == [(0, 0, 0.1), (30, 1, 0.4)]
    assert short(1, 10) == [(0, 1, 0.2)]


@pytest.mark.parametrize("mode", ["vmap", pytest.param("shared", marks=pytest.mark.slow)])
def test_interrupted_and_gone_on_with(config, tmp_path, mode):
    """Stopped right after a round, and resumed: the same copies, numbers and results."""
    whole = train(config, tmp_path / "whole", mode=mode)
    terminate = Notes(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as stopped:
        train(config, tmp_path / "parts", mode=mode, display=terminate)
    assert stopped.value.step == 17
    # As a kill between the saves of two members leaves them.
    shutil.rmtree(members(tmp_path / "parts")[5] / "checkpoints" / "17")
    parts = train(config, tmp_path / "parts", mode=mode)
    assert parts["best_member"] == whole["best_member"]
    assert parts["metric"] == pytest.approx(whole["metric"])
    for one, other in zip(members(tmp_path / "whole"), members(tmp_path / "parts"), strict=True):
        assert read_lineage(one) == read_lineage(other)
    assert files_left(tmp_path / "parts") == files_left(tmp_path / "whole")


@pytest.mark.exhaustive
def test_killed_at_random_and_gone_on_with(tmp_path):
    """Ten kills with SIGKILL: the same copies, the same best network, and nothing left over."""

    def start(study):
        command = ["pbt", "--config=mlp_digits", "--config.epochs=none", "--config.steps=600",
                   "--config.data.image_size=8", "--config.model.options.hidden=(16,)",
                   "--config.checkpoint.every_steps=10", "--config.num_devices=1",
                   "--param=optimizer.learning_rate=log(1e-4, 1e-1)", "--every_steps=50",
                   "--members=3", "--mode=shared", f"--study={tmp_path / study}"]  # fmt: skip
        return subprocess.Popen([sys.executable, str(ROOT / "launch.py"), *command], cwd=ROOT,
                                stdout=subprocess.DEVNULL)  # fmt: skip

    def saved():
        folders = (tmp_path / "parts" / "members").glob("*/checkpoints/*")
        return sum(int(path.name) for path in folders if path.name.isdigit())

    assert start("whole").wait() == 0
    dice, kills = random.Random(0), 0
    while (process := start("parts")).poll() is None:
        before = saved()
        while saved() <= before and process.poll() is None:
            time.sleep(0.005)
        if kills < 10:
            time.sleep(dice.uniform(0, 0.1))
            process.kill()
            kills += 1
        if process.wait() == 0:
            break
    assert kills == 10
    whole, parts = (json.loads((tmp_path / name / "result.json").read_text())
                    for name in ("whole", "parts"))  # fmt: skip
    assert parts["best_member"] == whole["best_member"]
    assert parts["metric"] == whole["metric"]
    runs = [members(tmp_path / name, 3) for name in ("whole", "parts")]
    for one, other in zip(*runs, strict=True):
        assert read_lineage(one) == read_lineage(other) != []
    assert files_left(tmp_path / "parts") == files_left(tmp_path / "whole")


def test_a_member_that_diverges_is_replaced(config, tmp_path):
    result = population_based_training(
        config,
        {"optimizer.learning_rate": "log(1e-2, 1e25)"},
        tmp_path,
        every_steps=8,
        members=6,
        mode="vmap",
        display=Notes(),
    )
    assert np.isfinite(result["metric"])
    lineages = [read_lineage(run) for run in members(tmp_path)]
    assert any(row["parent"] is not None for lineage in lineages for row in lineage)


@pytest.mark.parametrize(
    ("space", "options", "sentence"),
    [
        ({"batch_size": "uniform(8, 16)"}, {}, "'batch_size' cannot change"),
        ({"optimizer.learning_rat": "log(1e-3, 1)"}, {}, "no field"),
        ({"optimizer.learning_rate": "[0.1, 0.2]"}, {}, "is not a range"),
        ({"loss.label_smoothing": "uniform(0.1, 1.5)"}, {}, "loss.label_smoothing=1.5"),
        ({}, {}, "space is empty"),
        (SPACE, {"members": 1}, "members=1"),
        (SPACE, {"truncation": 0.6}, "truncation=0.6"),
    ],
)
def test_mistakes(config, tmp_path, space, options, sentence):
    with pytest.raises(UserError, match=sentence.replace("[", r"\[")):
        population_based_training(config, space, tmp_path, every_steps=8, **options)


def test_another_population_in_the_folder(config, tmp_path):
    (tmp_path / "population.json").write_text(json.dumps({"members": 3, "every_steps": 8}))
    with pytest.raises(UserError, match="another config and members"):
        train(config, tmp_path)


@pytest.mark.parametrize(
    "line",
    ["null", "[]", "{}", "garbage", '{"step": 1, "par', '{"step": "1", "parent": 0, "numbers": {}}',
     '{"step": 1, "parent": 0, "numbers": {"a": "b"}}'],
)  # fmt: skip
def test_a_damaged_lineage_names_its_line(line, tmp_path):
    row = '{"step": 0, "parent": null, "numbers": {}}\n'
    (tmp_path / "lineage.jsonl").write_text(f"{row}{line}\n")
    with pytest.raises(UserError, match=r"lineage.jsonl, line 2 is damaged"):
        read_lineage(tmp_path)


def test_an_edited_or_a_lost_lineage_is_named(tmp_path):
    Lineage(tmp_path, 0).add(0, None, {"a": 0.1})
    text = (tmp_path / "lineage.jsonl").read_text()
    (tmp_path / "lineage.jsonl").write_text(text.replace("0.1", "0.2"))
    with pytest.raises(UserError, match=r"lineage.jsonl is damaged or was edited"):
        read_lineage(tmp_path)
    (tmp_path / "lineage.jsonl").unlink()
    with pytest.raises(UserError, match=r"lineage.jsonl is missing"):
        read_lineage(tmp_path)
    with pytest.raises(UserError, match="without it the population cannot be resumed"):
        Lineage(tmp_path / "new", 8)
