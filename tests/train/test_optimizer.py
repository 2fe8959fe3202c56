"""Optimizers by name, weight decay's mask, schedules at their corners."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.config import Config, OptimizerConfig, ScheduleConfig, apply_overrides
from cnnlab.errors import UserError
from cnnlab.train import list_optimizers, make_optimizer, make_schedule
from cnnlab.train.optim.run_length import RunLength
from cnnlab.train.optim.schedule import cosine_restarts, polynomial, schedule_notes
from cnnlab.train.optim.schedule_free import evaluation_params

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

    @jax.jit
    def updates_of(grads):
        opt_state = tx.init(PARAMS)
        for _ in range(steps):
            updates, opt_state = update(grads, opt_state, PARAMS, value=jnp.float32(1.0))
        return updates

    return updates_of(grads)


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


@pytest.mark.parametrize("name", list_optimizers())
def test_a_bias_without_gradient_stays_unless_all_decay(name):
    """Over all optimizers: 20 updates with decay, in which only the kernels have gradients."""
    if name in ("noisy_sgd", "fromage", "yogi"):
        pytest.skip("moves it without decay: by noise, its scale, or moments that start above 0")
    params = {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)}

    def train(**fields):
        config = OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.1, **fields)
        tx = optax.with_extra_args_support(
            make_optimizer(config, optax.constant_schedule(config.learning_rate))
        )

        @jax.jit
        def step(params, state):
            grads = {"kernel": 0.1 * params["kernel"] + 0.01, "bias": jnp.zeros(4)}
            updates, state = tx.update(grads, state, params, value=jnp.float32(1.0))
            return optax.apply_updates(params, updates), state

        now, state = params, tx.init(params)
        for _ in range(20):
            now, state = step(now, state)
        return now

    spared = train()
    np.testing.assert_allclose(spared["bias"], 1.0, atol=2e-6)
    assert np.abs(spared["kernel"] - 1).max() > 1e-6


@pytest.mark.parametrize("name", ["novograd", "madgrad", "momo", "prodigy", "schedule_free_sgd"])
def test_kernels_decay_as_in_the_factory_of_optax(name):
    """Sparing the bias leaves the kernels' updates what optax gives for all parameters."""
    params = {"kernel": jnp.full((3, 4), 0.5), "bias": jnp.zeros(4)}
    grads = {"kernel": jnp.full((3, 4), 0.2), "bias": jnp.zeros(4)}
    config = OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.1)
    factory = getattr(optax, name, None) or getattr(optax.contrib, name)
    found = []
    for tx in (make_optimizer(config), factory(0.1, weight_decay=0.1)):
        tx, now = optax.with_extra_args_support(tx), params
        state = tx.init(now)
        for _ in range(3):
            updates, state = tx.update(grads, state, now, value=jnp.float32(1.0))
            now = optax.apply_updates(now, updates)
        found.append(now["kernel"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_schedule_free_is_evaluated_with_the_average_of_its_iterates(name, decay):
    """The parameters of a state's `variables` are x of the paper, by its own recursion."""
    b1, rate = 0.6, 0.1
    options = {"b1": b1}
    config = OptimizerConfig(name=name, learning_rate=rate, weight_decay=decay, options=options)
    tx = make_optimizer(config)
    params = {"kernel": jnp.full((2, 2), 0.5), "bias": jnp.full(2, 0.25)}
    state, z, x = tx.init(params), [], None
    for step in range(1, 6):
        grads = jax.tree.map(lambda p: jnp.sin(3.0 * p), params)
        before = params
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        if name == "schedule_free_sgd":
            # z moves by the gradient at y; x is the mean of all z, as the rate is constant.
            last = z[-1] if z else {"kernel": 0.5, "bias": 0.25}
            z.append(
                {
                    "kernel": last["kernel"] - rate * (grads["kernel"] + decay * before["kernel"]),
                    "bias": last["bias"] - rate * grads["bias"],
                }
            )
            x = {k: np.mean([step[k] for step in z], axis=0) for k in params}
        found = evaluation_params(state, params)
        if x is not None:
            for key in params:
                np.testing.assert_allclose(found[key], x[key], rtol=1e-5)
        assert step == 1 or np.abs(found["kernel"] - params["kernel"]).max() > 1e-4
    # Of several members or devices, states and parameters are stacked.
    pair = jax.tree.map(lambda a: jnp.stack([a, a]), (state, params))
    np.testing.assert_array_equal(evaluation_params(*pair)["kernel"][1], found["kernel"])
    plain = {"kernel": jnp.ones((2, 2))}
    assert evaluation_params(optax.adam(0.1).init(plain), plain) is plain


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


@pytest.mark.parametrize(
    ("epochs", "examples", "batch", "steps"),
    [(1.1, 100, 10, 11), (1.1, 50_000, 100, 550), (2.2, 100, 10, 22), (0.7, 100, 10, 7),
     (1.0, 105, 10, 11), (1.01, 100, 10, 11), (3, 10, 10, 3), (0.001, 10, 10, 1)],
)  # fmt: skip
def test_steps_are_counted_exactly(epochs, examples, batch, steps):
    config = Config(epochs=epochs, batch_size=batch)
    assert RunLength.of(config, examples).total == steps


def test_corners_that_the_run_does_not_reach_are_named():
    config = apply_overrides(
        Config(epochs=10.0), {"schedule.name": "step", "schedule.step_epochs": (5, 30, 60)}
    )
    assert schedule_notes(config.schedule, RunLength.of(config, 1000)) == [
        "The run ends before schedule.step_epochs 30, 60: the learning rate does not change there."
    ]
    config.schedule.step_epochs = (5.0,)
    assert schedule_notes(config.schedule, RunLength.of(config, 1000)) == []


@pytest.mark.parametrize(("first", "factor"), [(7, 1.0), (5, 2.0), (4, 1.5)])
def test_restarts_and_polynomial_agree_with_optax(first, factor):
    lengths = [round(first * factor**i) for i in range(4)]
    reference = optax.sgdr_schedule(
        [
            {"init_value": 0.3, "peak_value": 0.3, "warmup_steps": 0, "decay_steps": n,
             "end_value": 0.03}
            for n in lengths
        ]
    )  # fmt: skip
    found = cosine_restarts(
        0.3, sum(lengths), cycle_steps=first, cycle_factor=factor, end_factor=0.1
    )
    for step in range(sum(lengths)):
        assert found(step) == pytest.approx(float(reference(step)), rel=1e-5), step
    reference = optax.polynomial_schedule(0.3, 0.03, 0.9, 20)
    found = polynomial(0.3, 20, end_factor=0.1)
    assert [float(found(s)) for s in range(22)] == [float(reference(s)) for s in range(22)]


def schedule_of(**fields):
    """100 steps of 10 epochs, 10 steps each, peak 1."""
    config = Config(batch_size=10, optimizer=OptimizerConfig(learning_rate=1.0))
    config.schedule = ScheduleConfig(**fields)
    return make_schedule(config.schedule, RunLength.of(config, 100), 1.0)


@pytest.mark.parametrize(
    ("fields", "corners"),
    [
        ({"name": "constant"}, {0: 1.0, 99: 1.0}),
        ({"name": "linear"}, {0: 1.0, 50: 0.5, 100: 0.0}),
        ({"name": "polynomial"}, {0: 1.0, 50: 0.5**0.9, 75: 0.25**0.9, 100: 0.0}),
        (
            {"name": "polynomial", "power": 2.0, "end_factor": 0.2, "warmup_epochs": 2.0},
            {10: 0.5, 20: 1.0, 60: 0.2 + 0.8 * 0.25, 100: 0.2},
        ),
        (
            # Cycles of 10, 20, 40 steps and one that is cut after 30 of its 80.
            {"name": "cosine_restarts", "cycle_epochs": 1.0},
            {
                0: 1.0,
                5: 0.5,
                10: 1.0,
                20: 0.5,
                30: 1.0,
                50: 0.5,
                70: 1.0,
                100: (1 + np.cos(np.pi * 30 / 80)) / 2,
            },
        ),
        (
            {
                "name": "cosine_restarts",
                "cycle_epochs": 2.0,
                "cycle_factor": 1.0,
                "end_factor": 0.1,
                "warmup_epochs": 1.0,
            },
            {
                0: 0.0,
                10: 1.0,
                20: 0.55,
                30: 1.0,
                50: 1.0,
                60: 0.55,
                99: 0.1 + 0.9 * (1 + np.cos(np.pi * 9 / 20)) / 2,
            },
        ),
        (
            # Both corners round to step 23: at one step, both factors apply.
            {"name": "step", "step_epochs": (2.26, 2.34)},
            {22: 1.0, 24: 0.01},
        ),
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
    assert RunLength.of(config, 100).total == 8  # 7.8 batches
    config = apply_overrides(config, {"epochs": None, "steps": 5})
    assert RunLength.of(config, 100).total == 5


def test_warmup_must_end_before_the_run():
    config = apply_overrides(
        Config(), {"epochs": None, "steps": 5, "schedule.warmup_epochs": 1.0, "batch_size": 10}
    )
    with pytest.raises(UserError, match="is 10 steps, and the whole run has only 5"):
        make_schedule(config.schedule, RunLength.of(config, 100), 0.1)
