"""Model, task, augmentation and optimizer are built once, and pretrained weights are read once."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.config import Config, apply_overrides
from cnnlab.data import DatasetInfo
from cnnlab.models import create_model
from cnnlab.sweep import fit_group
from cnnlab.tasks import Classification
from cnnlab.train import build_experiment, create_state, experiment, fit, make_train_step
from cnnlab.train.callbacks.progress import Silence
from cnnlab.train.engines import compiled_steps as compiled_steps_module

INFO = DatasetInfo("digits", tuple("0123456789"), (8, 8, 1), {"train": 64}, (0.5,), (0.3,))
FACTORIES = ("create_model", "make_task", "make_schedule", "make_finetune_optimizer",
             "make_augment")  # fmt: skip


@pytest.fixture
def calls(monkeypatch):
    """How often each factory was called."""
    counts = dict.fromkeys(FACTORIES, 0)

    def counted(name, function):
        def call(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        return call

    for name in FACTORIES:
        monkeypatch.setattr(experiment, name, counted(name, getattr(experiment, name)))
    return counts


@pytest.mark.parametrize("mode", ["vmap", "shared"])
def test_a_population_builds_each_object_once(tiny_config, tmp_path, calls, mode):
    # A program of its own for each case: this process keeps the last ones.
    every = {"vmap": 6, "shared": 7}[mode]
    config = apply_overrides(tiny_config, {"log_every_steps": every, "augment.translate": 0.1})
    configs = [apply_overrides(config, {"optimizer.learning_rate": r}) for r in (0.05, 0.1)]
    results = fit_group(configs, [tmp_path / "0", tmp_path / "1"], mode=mode)
    assert [result["steps"] for result in results] == [20, 20]
    assert calls == dict.fromkeys(FACTORIES, 1)


def test_a_run_builds_each_object_once(tiny_config, tmp_path, calls):
    fit(tiny_config, tmp_path, callbacks=[Silence()])
    assert calls == dict.fromkeys(FACTORIES, 1)


def test_a_learning_rate_is_read_in_less_than_a_millisecond(calls):
    info = DatasetInfo("c", tuple("abc"), (64, 64, 3), {"train": 640}, (0.5,) * 3, (0.3,) * 3)
    config = apply_overrides(
        Config(batch_size=32),
        {"model.name": "resnet50", "finetune.backbone_rate": 0.1, "schedule.warmup_epochs": 1.0},
    )
    built = build_experiment(config, info)
    before = dict(calls)
    rates = [float(built.schedule(step, built.hparams)) for step in range(3)]  # warm
    seconds = []
    for step in range(20):
        began = time.perf_counter()
        rates.append(float(built.schedule(step, built.hparams)))
        seconds.append(time.perf_counter() - began)
    assert rates[3] == rates[0] == 0.0
    assert rates[4] == pytest.approx(0.1 / 20)
    assert min(seconds) < 1e-3
    assert calls == before


def test_pretrained_weights_are_read_once(tiny_config, tmp_path, monkeypatch):
    fit(tiny_config, tmp_path / "source", callbacks=[Silence()])
    reads = []
    read = compiled_steps_module.read_pretrained

    def counted(built):
        reads.append(built.config.model.pretrained)
        return read(built)

    monkeypatch.setattr(compiled_steps_module, "read_pretrained", counted)
    config = apply_overrides(tiny_config, {"model.pretrained": str(tmp_path / "source")})
    fit(config, tmp_path / "run", callbacks=[Silence()])
    assert reads == [str(tmp_path / "source")]
    fit(config, tmp_path / "run", callbacks=[Silence()])  # complete: there is nothing to read
    assert len(reads) == 1


def batch_of(size=4):
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.integers(0, 256, (size, 8, 8, 1), np.uint8)),
        "label": jnp.asarray(rng.integers(0, 10, size), jnp.int32),
        "mask": jnp.ones(size),
    }


class PlainTask:
    """A loss without hyper-parameters."""

    def loss(self, logits, batch, *, train=False):
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])

    train_sums = Classification(10).train_sums


def plain_augment(key, batch):
    return {**batch, "image": batch["image"].astype(jnp.float32) / 255.0}


def test_plain_parts_and_those_with_hyperparameters_take_the_same_step():
    model = create_model("mlp", num_classes=10, hidden=(8,))
    tx = optax.sgd(0.1)
    state = create_state(model, tx, image_shape=(8, 8, 1), seed=0)
    step = make_train_step(model, PlainTask(), tx, augment=plain_augment)
    alone = jax.jit(step)(state, batch_of())
    given = jax.jit(step)(state, batch_of(), {"optimizer.learning_rate": 5.0})
    jax.tree.map(np.testing.assert_array_equal, alone, given)

    def by_rate(hparams):
        return optax.sgd(hparams.get("optimizer.learning_rate", 0.1))

    step = jax.jit(make_train_step(model, PlainTask(), by_rate, augment=plain_augment))
    jax.tree.map(np.testing.assert_array_equal, alone[0].params, step(state, batch_of())[0].params)
    faster = step(state, batch_of(), {"optimizer.learning_rate": 5.0})[0].params
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: (a != b).any(), faster, alone[0].params)))


def test_objects_in_place_of_names():
    config = apply_overrides(Config(batch_size=4), {"model.name": "mlp"})
    model = create_model("mlp", num_classes=10, hidden=(3,))
    built = build_experiment(config, INFO, model=model, tx=optax.sgd(0.5), augment=plain_augment)
    assert built.model is model
    state = built.create_state()
    after, sums = jax.jit(built.train_step())(state, batch_of(), built.hparams)
    assert np.isfinite(float(sums["loss"]))
    assert int(after.step) == 1
