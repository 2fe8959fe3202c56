"""The training step: a pure function, with the parts that a config can ask for."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.models import create_model
from cnnlab.models.network import Network
from cnnlab.tasks import Classification
from cnnlab.train import create_state, make_eval_step, make_train_step
from cnnlab.train.step import NEVER, add_sums, zero_sums

SHAPE = (8, 8, 1)


def make_batch(size=8, seed=0, num_classes=3):
    rng = np.random.default_rng(seed)
    return {
        "image": jnp.asarray(rng.normal(size=(size, *SHAPE)), jnp.float32),
        "label": jnp.asarray(rng.integers(num_classes, size=size), jnp.int32),
        "mask": jnp.ones(size, jnp.float32),
    }


def make_parts(*, ema_decay=None, dropout_rate=0.0, learning_rate=0.1, model=None, **options):
    model = model or create_model("mlp", num_classes=3, hidden=(16, 8), dropout_rate=dropout_rate)
    tx = optax.sgd(learning_rate)
    state = create_state(model, tx, image_shape=SHAPE, seed=0, ema=ema_decay is not None)
    step = make_train_step(model, Classification(3), tx, ema_decay=ema_decay, **options)
    return model, state, step


def test_batch_statistics_move_in_training_and_not_in_evaluation():
    resnet = create_model("resnet18", num_classes=3, stem="cifar", width=4, stage_sizes=(1,))
    model, state, step = make_parts(model=resnet)
    after, _ = jax.jit(step)(state, make_batch())
    before = jax.tree.leaves(state.collections["batch_stats"])
    moved = jax.tree.leaves(after.collections["batch_stats"])
    assert all((old != new).any() for old, new in zip(before, moved, strict=True))
    evaluate = jax.jit(make_eval_step(model, Classification(3)))
    first = evaluate(after.variables, make_batch())
    evaluate(after.variables, make_batch(seed=1))
    second = evaluate(after.variables, make_batch())
    np.testing.assert_array_equal(first["loss"], second["loss"])


def test_one_compilation():
    _, state, step = make_parts(dropout_rate=0.1)
    call = jax.jit(step)
    for seed in range(3):
        state, _ = call(state, make_batch(seed=seed))
    assert call._cache_size() == 1
    assert int(state.step) == 3


def test_step_is_pure():
    _, state, step = make_parts(dropout_rate=0.5)
    call = jax.jit(step)
    one, other = call(state, make_batch()), call(state, make_batch())
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(left, right)


def test_dropout_differs_between_steps_and_seeds():
    _, state, step = make_parts(dropout_rate=0.5, learning_rate=0.0)
    call = jax.jit(step)
    after, first = call(state, make_batch())
    # Without learning, only dropout tells two steps apart.
    _, second = call(after, make_batch())
    _, other_seed = call(state.replace(rng=jax.random.PRNGKey(7)), make_batch())
    assert first["loss"] != second["loss"]
    assert first["loss"] != other_seed["loss"]


def test_accumulation_equals_the_whole_batch():
    """Without batch statistics, four parts give the gradient of the whole."""
    _, state, whole = make_parts()
    _, _, parts = make_parts(accumulate_steps=4)
    one, one_sums = jax.jit(whole)(state, make_batch())
    other, other_sums = jax.jit(parts)(state, make_batch())
    for name in one_sums:
        np.testing.assert_allclose(one_sums[name], other_sums[name], rtol=1e-5)
    for left, right in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)


def test_uneven_accumulation_is_refused():
    _, state, step = make_parts(accumulate_steps=3)
    with pytest.raises(ValueError, match="batch of 8 cannot be divided into 3"):
        jax.eval_shape(step, state, make_batch())


def test_moving_average_of_weights():
    _, state, step = make_parts(ema_decay=0.9)
    after, _ = jax.jit(step)(state, make_batch())
    # The first decay is (1 + 0) / (10 + 0).
    expected = jax.tree.map(lambda old, new: 0.1 * old + 0.9 * new, state.params, after.params)
    for left, right in zip(
        jax.tree.leaves(after.ema_params), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)
    assert after.variables["params"] is after.ema_params


@pytest.mark.parametrize("broken", ["image", "none"])
def test_first_bad_step(broken):
    _, state, step = make_parts()
    call = jax.jit(step)
    total = None
    for number in range(4):
        batch = make_batch(seed=number)
        if broken == "image" and number == 2:
            batch["image"] = batch["image"].at[0, 0, 0, 0].set(jnp.nan)
        state, sums = call(state, batch)
        total = add_sums(zero_sums(sums) if total is None else total, sums)
    assert int(total["first_bad_step"]) == (3 if broken == "image" else NEVER)
    assert total["steps"] == 4


class WithOtherCollection(nn.Module):
    """Counts its calls in a collection of its own."""

    @nn.compact
    def __call__(self, x, *, train):
        calls = self.variable("counters", "calls", lambda: jnp.zeros((), jnp.int32))
        if train:
            calls.value += 1
        return nn.Dense(3)(x.reshape(x.shape[0], -1))


def test_every_collection_is_carried():
    model = WithOtherCollection()
    tx = optax.sgd(0.1)
    state = create_state(model, tx, image_shape=SHAPE, seed=0)
    step = jax.jit(make_train_step(model, Classification(3), tx))
    for _ in range(3):
        state, _ = step(state, make_batch())
    assert int(state.collections["counters"]["calls"]) == 3


def test_bfloat16_computes_with_float32_parameters():
    model = create_model(
        "resnet18", num_classes=3, stem="cifar", width=4, stage_sizes=(1,), dtype="bfloat16"
    )
    tx = optax.adamw(0.01)
    state = create_state(model, tx, image_shape=SHAPE, seed=0)
    after, sums = jax.jit(make_train_step(model, Classification(3), tx))(state, make_batch())
    assert sums["loss"].dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {jnp.dtype("float32")}
    text = str(jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(
        state.variables, make_batch()["image"]))  # fmt: skip
    assert "bf16[8,8,8,4]" in text


def test_auxiliary_classifiers_count_with_the_papers_weight():
    """The head's loss and 0.3 times each auxiliary one's (Szegedy et al. 2014, sec. 5)."""

    class TwoHeads(Network):
        @nn.compact
        def __call__(self, images, *, train):
            scores = self.param("scores", nn.initializers.ones_init(), (3,))
            if train:
                self.sow("aux_logits", "one", jnp.array([[0.0, 0.0]]) + scores[1] * 0)
                self.sow("aux_logits", "two", jnp.array([[0.0, jnp.log(3.0)]]))
            return jnp.zeros((1, 2)) + scores[0] * 0

    tx = optax.sgd(0.1)
    model = TwoHeads(backbone=None, head=None)
    state = create_state(model, tx, image_shape=(2, 2, 1), seed=0)
    assert not state.collections
    batch = {"image": jnp.zeros((1, 2, 2, 1)), "label": jnp.array([1]), "mask": jnp.ones(1)}
    state, sums = jax.jit(make_train_step(model, Classification(2), tx))(state, batch)
    expected = np.log(2) + 0.3 * (np.log(2) + np.log(4 / 3))
    np.testing.assert_allclose(sums["loss"], expected, rtol=1e-6)
    assert not state.collections
