"""Population-based training: who copies whom, that copies are exact, and that it pays."""

import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.config import Config, DataConfig, ModelConfig, OptimizerConfig, apply_overrides
from cnnlab.errors import UserError
from cnnlab.sweep import fit_group, log, population_based_training, uniform
from cnnlab.sweep.pbt_exploit import make_exploit
from cnnlab.sweep.pbt_lineage import ancestry, read_lineage
from cnnlab.sweep.pbt_picture import draw_population
from cnnlab.sweep.population_rows import Rows
from cnnlab.sweep.population_turns import Turns
from cnnlab.train import Interrupted, Programs, fit, load_run
from cnnlab.train.display import Silence
from cnnlab.train.numbers import traceable_numbers
from cnnlab.train.records import read_rows
from cnnlab.train.workdir import Workdir
from tests.conftest import assert_trees_equal

SPACE = {"optimizer.learning_rate": "log(1e-3, 0.5)", "model.options.dropout_rate": uniform(0, 0.5)}


@pytest.fixture
def config():
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
    exploit = make_exploit(space, truncation=0.25, resample=0.0)
    numbers = {"a": jnp.linspace(0.1, 0.8, 8), "b": jnp.full(8, 0.48)}
    scores = jnp.asarray([5.0, 1.0, 7.0, 3.0, 8.0, 2.0, 4.0, 6.0])
    seen = set()
    for seed in range(20):
        key = jax.random.PRNGKey(seed)
        parents, explored = jax.device_get(exploit(numbers, scores, key))
        copies = [n for n in range(8) if parents[n] != n]
        assert copies == [1, 5]  # the two worst
        assert {int(parents[n]) for n in copies} <= {2, 4}  # the two best
        for n in range(8):
            ratio = explored["a"][n] / numbers["a"][parents[n]]
            assert ratio == pytest.approx(1.0 if n not in copies else round(float(ratio), 1))
            if n in copies:
                seen.add(round(float(ratio), 1))
                assert explored["b"][n] == pytest.approx(0.384) or explored["b"][n] == 0.5
        again = jax.device_get(exploit(numbers, scores, key))
        assert_trees_equal(again, (parents, explored))
    assert seen == {0.8, 1.2}


def test_those_who_diverged_are_replaced_and_never_copied():
    exploit = make_exploit({"a": log(0.01, 1.0)}, truncation=0.5, resample=1.0)
    scores = jnp.asarray([-jnp.inf, jnp.nan, -3.0, -jnp.inf])
    for seed in range(10):
        parents, explored = exploit({"a": jnp.full(4, 0.1)}, scores, jax.random.PRNGKey(seed))
        assert parents.tolist() == [2, 2, 2, 2]
        assert explored["a"][2] == pytest.approx(0.1)
        drawn = explored["a"][jnp.asarray([0, 1, 3])]
        assert len(set(drawn.tolist())) == 3
        assert (drawn >= 0.01).all()
        assert (drawn <= 1.0).all()


@pytest.mark.parametrize("kind", [Rows, Turns])
def test_a_copy_equals_its_parent(config, kind):
    programs = Programs(config)
    configs = [apply_overrides(config, {"seed": seed}) for seed in range(3)]
    engine = kind(programs, 3)
    engine.fill([programs.new_carry(programs.setup(c)) for c in configs])
    engine.set_numbers([traceable_numbers(c) for c in configs])
    engine.advance([0], [0, 1, 2])
    before = engine.carries()
    engine.copy([0, 0, 2])
    after = engine.carries()
    for index, parent in enumerate([0, 0, 2]):
        assert_trees_equal(after[index]["window"], before[parent]["window"])
        for name in ("step", "params", "collections", "opt_state"):
            assert_trees_equal(
                getattr(after[index]["state"], name), getattr(before[parent]["state"], name)
            )
        assert_trees_equal(after[index]["state"].rng, before[index]["state"].rng)
    changed = jax.tree.map(
        lambda a, b: (a != b).any(), before[0]["state"].params, before[1]["state"].params
    )
    assert any(jax.tree.leaves(changed))
    engine.advance([1], [0, 1, 2])  # and they go on apart
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


def test_it_beats_its_best_fixed_member(config, tmp_path):
    """The same first numbers and seeds, with and without copying."""
    config.evaluation.metric = "loss"
    result = train(config, tmp_path)
    configs = [Workdir(run).config() for run in members(tmp_path)]
    fixed = [tmp_path / "fixed" / str(number) for number in range(6)]
    fit_group(configs, fixed, mode="vmap")

    def best(runs):
        rows = [row for run in runs for row in read_rows(Workdir(run).metrics)]
        return min(row["loss"] for row in rows if row["split"] == "validation")

    assert result["metric"] == best(members(tmp_path))
    assert result["metric"] < best(fixed)


def test_lineage_and_run_folders(config, tmp_path):
    notes = Notes()
    result = train(config, tmp_path, display=notes)
    assert len(notes.notes) == 5  # after each of six evaluations but the last
    assert json.loads((tmp_path / "result.json").read_text()) == result
    copies = 0
    for run in members(tmp_path):
        config_there = Workdir(run).config()
        lineage = read_lineage(run)
        assert (lineage[0]["step"], lineage[0]["parent"]) == (0, None)
        numbers = traceable_numbers(config_there)
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
        assert fit(config_there, run, display=Silence())["steps"] == 48
    assert copies >= 5

    best = tmp_path / "members" / f"{result['best_member']:02}"
    end = result["members"][result["best_member"]]["checkpoint_step"]
    schedule = result["schedule"]
    governing = [row for row in read_lineage(best) if row["step"] < end][-1]
    assert schedule[-1] == {
        "step": governing["step"],
        "member": result["best_member"],
        "numbers": governing["numbers"],
    }
    assert schedule[0]["step"] == 0
    assert draw_population(tmp_path).stat().st_size > 0


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


@pytest.mark.parametrize("mode", ["vmap", "shared"])
def test_interrupted_and_gone_on_with(config, tmp_path, mode):
    """Stopped right after a round, and resumed: the same copies, numbers and results."""
    whole = train(config, tmp_path / "whole", mode=mode)
    terminate = Notes(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as stopped:
        train(config, tmp_path / "parts", mode=mode, display=terminate)
    assert stopped.value.step == 17
    parts = train(config, tmp_path / "parts", mode=mode)
    assert parts["best_member"] == whole["best_member"]
    assert parts["metric"] == pytest.approx(whole["metric"])
    for one, other in zip(members(tmp_path / "whole"), members(tmp_path / "parts"), strict=True):
        assert read_lineage(one) == read_lineage(other)


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
