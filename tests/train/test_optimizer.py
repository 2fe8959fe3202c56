"""Optimizers by name, weight decay's mask, schedules at their corners."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.config import Config, OptimizerConfig, ScheduleConfig, apply_overrides
from cnnlab.errors import UserError
from cnnlab.train import list_optimizers, make_optimizer, make_schedule
from cnnlab.train.schedule import total_steps

PARAMS = {
    "conv": {"kernel": jnp.ones((3, 3, 2, 4)), "bias": jnp.ones(4)},
    "norm": {"scale": jnp.ones(4), "bias": jnp.ones(4)},
    "logits": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)},
}


def one_update(config, grads=None, steps=1):
    # As a run has it: with a schedule, which not every optimizer of optax takes.
    tx = make_optimizer(config, optax.constant_schedule(config.learning_rate))
    grads = jax.tree.map(jnp.zeros_like, PARAMS) if grads is None else grads
    update = optax.with_extra_args_support(tx).update
    updates, opt_state = update(grads, tx.init(PARAMS), PARAMS, value=jnp.float32(1.0))
    for _ in range(steps - 1):
        updates, opt_state = update(grads, opt_state, PARAMS, value=jnp.float32(1.0))
    return updates


@pytest.mark.parametrize("name", list_optimizers())
def test_every_optimizer_updates(name):
    grads = jax.tree.map(lambda p: 0.1 * jnp.cos(jnp.arange(p.size)).reshape(p.shape), PARAMS)
    # Two steps: adopt only looks at the first gradient.
    updates = one_update(OptimizerConfig(name=name, learning_rate=0.1), grads, steps=2)
    assert all(np.isfinite(u).all() for u in jax.tree.leaves(updates))
    assert any(np.abs(u).max() > 0 for u in jax.tree.leaves(updates))


def test_the_fields_optimizers_are_there():
    wanted = {"sgd", "adam", "adamw", "lamb", "lars", "muon", "rmsprop", "lion", "adafactor"}
    assert wanted <= set(list_optimizers())


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb", "lars", "muon"])
def test_weight_decay_spares_norms_and_biases(name):
    updates = one_update(OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.5))
    assert np.abs(updates["conv"]["kernel"]).max() > 0
    for layer, param in (("conv", "bias"), ("norm", "scale"), ("norm", "bias"), ("logits", "bias")):
        assert not np.abs(updates[layer][param]).max() > 0


def test_weight_decay_of_all():
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.5, decay_norms_and_biases=True)
    np.testing.assert_allclose(one_update(config)["norm"]["scale"], -0.05, rtol=1e-6)


def test_no_decay_by_default():
    """Optax's own default of adamw is 1e-4; ours is what the config says: none."""
    assert not np.abs(one_update(OptimizerConfig(name="adamw"))["conv"]["kernel"]).max() > 0


def test_clipping():
    grads = jax.tree.map(lambda p: 100.0 * jnp.ones_like(p), PARAMS)
    updates = one_update(OptimizerConfig(learning_rate=1.0, clip_norm=2.0), grads)
    assert optax.tree.norm(updates) == pytest.approx(2.0, rel=1e-5)


def test_nesterov_is_an_option():
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    config = OptimizerConfig(learning_rate=1.0, options={"momentum": 0.9, "nesterov": True})
    assert one_update(config, grads)["norm"]["scale"][0] == pytest.approx(-1.9)


def test_muon_orthogonalises_convolutions():
    """The update of a 3x3x2x4 kernel, taken as an 18x4 matrix, has singular values near 1."""
    grads = jax.tree.map(lambda p: jax.random.normal(jax.random.key(p.size), p.shape), PARAMS)
    updates = one_update(OptimizerConfig(name="muon", learning_rate=1.0), grads)
    values = np.linalg.svd(np.asarray(updates["conv"]["kernel"]).reshape(18, 4), compute_uv=False)
    assert values.max() / values.min() < 2.0
    # The last layer uses adam with Nesterov momentum: in the first step, all sizes are alike.
    last = np.abs(np.asarray(updates["logits"]["kernel"]))
    np.testing.assert_allclose(last, last[0, 0], rtol=1e-3)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (OptimizerConfig(name="adamm"), "Unknown optimizer 'adamm'. Did you mean 'adam"),
        (OptimizerConfig(options={"momntum": 0.9}), "no option 'momntum'. Did you mean 'momentum'"),
    ],
)
def test_bad_names(config, sentence):
    with pytest.raises(UserError, match=sentence):
        make_optimizer(config)


def schedule_of(**fields):
    """100 steps of 10 epochs, 10 steps each, peak 1."""
    config = Config(batch_size=10, optimizer=OptimizerConfig(learning_rate=1.0))
    config.schedule = ScheduleConfig(**fields)
    return make_schedule(config, 100)


@pytest.mark.parametrize(
    ("fields", "corners"),
    [
        ({"name": "constant"}, {0: 1.0, 99: 1.0}),
        ({"name": "linear"}, {0: 1.0, 50: 0.5, 100: 0.0}),
        ({"name": "linear", "end_factor": 0.2}, {0: 1.0, 50: 0.6, 100: 0.2}),
        ({"name": "cosine"}, {0: 1.0, 25: (1 + np.cos(np.pi / 4)) / 2, 50: 0.5, 100: 0.0}),
        ({"name": "cosine", "warmup_epochs": 2.0}, {0: 0.0, 10: 0.5, 20: 1.0, 60: 0.5, 100: 0.0}),
        (
            {"name": "step", "step_epochs": (5.0, 8.0)},
            {0: 1.0, 49: 1.0, 51: 0.1, 79: 0.1, 81: 0.01},
        ),
        (
            {"name": "step", "step_epochs": (5.0,), "warmup_epochs": 1.0},
            {0: 0.0, 5: 0.5, 49: 1.0, 51: 0.1},
        ),
        ({"name": "one_cycle"}, {0: 0.0, 15: 0.5, 30: 1.0, 65: 0.5, 100: 0.0}),
    ],
)
def test_schedule_corners(fields, corners):
    schedule = schedule_of(**fields)
    for step, value in corners.items():
        assert float(schedule(step)) == pytest.approx(value, abs=1e-6), step


def test_total_steps_cover_the_epochs():
    config = apply_overrides(Config(), {"epochs": 2.5, "batch_size": 32})
    assert total_steps(config, 100) == 8  # 7.8 batches
    assert total_steps(apply_overrides(config, {"epochs": None, "steps": 5}), 100) == 5


def test_warmup_must_end_before_the_run():
    config = apply_overrides(
        Config(), {"epochs": None, "steps": 5, "schedule.warmup_epochs": 1.0, "batch_size": 10}
    )
    with pytest.raises(UserError, match="is 10 steps, and the whole run has only 5"):
        make_schedule(config, 100)
