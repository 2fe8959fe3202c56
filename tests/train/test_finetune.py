"""Fine-tuning: what is frozen does not move, rates are exact, parts join at their step."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.config import Config, FinetuneConfig, ModelConfig, OptimizerConfig, validate
from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.train import Interrupted, build_experiment, find_learning_rate, fit, load_data
from cnnlab.train.optim.finetune import (
    backbone_parts,
    delayed,
    layer_depths,
    make_finetune_optimizer,
    split_optimizer,
    unfreezing_steps,
)
from cnnlab.train.runtime.devices import make_parallel
from tests.conftest import assert_trees_equal
from tests.pretrained.peer_networks import libraries
from tests.train.test_loop import Quiet, final_state, terminate

INFO = DatasetInfo("none", tuple("abc"), (12, 12, 1), {"train": 80, "test": 8}, (0.5,), (0.25,))
BATCH = {
    "image": np.random.default_rng(0).integers(0, 256, (8, *INFO.image_shape), np.uint8),
    "label": np.arange(8, dtype=np.int32) % 3,
    "mask": np.ones(8, np.float32),
}


def make_config(*, norm=False, optimizer=None, epochs=1.0, **finetune):
    """Ten updates of a dense network, or of a ResNet with batch norm."""
    dense = ModelConfig(name="mlp", options={"hidden": (8, 6)})
    resnet = ModelConfig(
        name="resnet18",
        options={"stem": "cifar", "width": 4, "stage_sizes": (1,), "dropout_rate": 0.0},
    )
    return Config(
        batch_size=8,
        epochs=epochs,
        model=resnet if norm else dense,
        optimizer=optimizer or OptimizerConfig(learning_rate=0.1),
        finetune=FinetuneConfig(**finetune),
    )


def train(config, steps=3, kind="jit", num_devices=1):
    """The setup, and the states before and after some updates on one batch."""
    experiment = build_experiment(config, INFO)
    parallel = make_parallel(kind, num_devices)
    step = experiment.train_step(parallel.axis_name)
    call = parallel.compile_train(lambda state, batch, hparams: step(state, batch, hparams)[0])
    start = jax.device_get(experiment.create_state())
    states = [start]
    state = parallel.replicate(start)
    for _ in range(steps):
        state = call(state, parallel.shard(BATCH), {})
        states.append(jax.device_get(parallel.collect(state)))
    return experiment, states


def moved(before, after):
    """Whether every leaf of a tree changed."""
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return all((old != new).any() for old, new in pairs)


DECAYING = OptimizerConfig(
    name="adamw", learning_rate=0.01, weight_decay=0.3, ema_decay=0.9, clip_norm=1.0
)


@pytest.mark.parametrize("name", ["sgd", pytest.param("muon", marks=pytest.mark.slow)])
def test_frozen_backbone_stays_bit_for_bit(name):
    """Under decay (L2 or decoupled), clipping, moving average and accumulation."""
    optimizer = dataclasses.replace(DECAYING, name=name, accumulate_steps=2)
    config = make_config(
        norm=True, optimizer=optimizer, freeze_backbone=True, freeze_batch_stats=True
    )
    experiment, (before, *_, after) = train(config)
    for tree in ("params", "ema_params"):
        assert_trees_equal(getattr(before, tree)["backbone"], getattr(after, tree)["backbone"])
        assert moved(getattr(before, tree)["head"], getattr(after, tree)["head"])
    assert_trees_equal(before.collections, after.collections)
    # No leaf of the optimizer's state belongs to the backbone.
    head = jax.tree.leaves(before.params["head"])
    shapes = {leaf.shape for leaf in jax.tree.leaves(experiment.abstract_state().opt_state)}
    assert shapes <= {leaf.shape for leaf in head} | {(), (16, 3), (1, 16, 3)}
    assert not {leaf.shape for leaf in jax.tree.leaves(before.params["backbone"])} & shapes


def test_frozen_backbone_has_no_backward_pass():
    """Of all products in the step, one is not of the forward pass: the logits' kernel gradient."""

    def products(step, *arguments):
        text = jax.jit(step).lower(*arguments).as_text()
        return text.count("stablehlo.convolution") + text.count("stablehlo.dot_general")

    experiment = build_experiment(make_config(freeze_backbone=True, norm=True), INFO)
    state = experiment.abstract_state()
    forward = products(experiment.eval_step(), state.variables, BATCH)
    assert products(experiment.train_step(), state, BATCH) == forward + 1
    whole = build_experiment(make_config(norm=True), INFO)
    assert products(whole.train_step(), whole.abstract_state(), BATCH) > 2 * forward


def test_frozen_statistics_do_not_move_and_are_used():
    _, (before, after) = train(make_config(norm=True, freeze_batch_stats=True), steps=1)
    assert_trees_equal(before.collections, after.collections)
    assert moved(before.params["head"], after.params["head"])
    model = create_model("resnet18", num_classes=3, stem="cifar", width=4, stage_sizes=(1,))
    images = jax.random.normal(jax.random.key(0), (2, 12, 12, 1))
    frozen = model.clone(freeze_batch_stats=True)
    variables = before.variables
    outputs = [
        jax.jit(partial(network.apply, train=train))(variables, images)
        for network, train in ((model, False), (frozen, True))
    ]
    np.testing.assert_array_equal(*outputs)


def test_frozen_backbone_alone_moves_statistics():
    _, (before, *_, after) = train(make_config(norm=True, freeze_backbone=True), steps=1)
    assert moved(before.collections["batch_stats"], after.collections["batch_stats"])


def test_backbone_rate_is_exact():
    """Of plain SGD with L2 decay, the backbone's update is a tenth, the head's the same."""
    optimizer = OptimizerConfig(learning_rate=0.5, weight_decay=0.1)
    _, (start, plain) = train(make_config(optimizer=optimizer), steps=1)
    _, (same, slow) = train(make_config(optimizer=optimizer, backbone_rate=0.1), steps=1)
    assert_trees_equal(start.params, same.params)
    assert_trees_equal(plain.params["head"], slow.params["head"])
    for old, fast, new in zip(
        *(jax.tree.leaves(s.params["backbone"]) for s in (start, plain, slow)), strict=True
    ):
        np.testing.assert_allclose(new - old, 0.1 * (fast - old), rtol=1e-3, atol=1e-8)


def test_rate_reaches_optimizers_that_keep_it_in_their_state():
    config = make_config(
        optimizer=OptimizerConfig(name="schedule_free_sgd", learning_rate=0.1), backbone_rate=0.1
    )
    _, (before, *_, after) = train(config)
    assert moved(before.params, after.params)


def test_layer_decay_is_exact():
    """The mlp has two hidden layers: the last has 0.5 times the head's rate, the first 0.25."""
    _, states = train(make_config(layer_decay=0.5), steps=1)
    _, plain = train(make_config(), steps=1)
    before, after, reference = (x.params for x in (*states, plain[1]))
    parts = sorted(before["backbone"])
    factors = dict(zip(parts, (0.25, 0.5), strict=True))
    for name, factor in factors.items():
        moves = jax.tree.map(lambda a, b: a - b, after["backbone"][name], before["backbone"][name])
        full = jax.tree.map(
            lambda a, b: a - b, reference["backbone"][name], before["backbone"][name]
        )
        for move, whole in zip(jax.tree.leaves(moves), jax.tree.leaves(full), strict=True):
            np.testing.assert_allclose(move, factor * whole, rtol=1e-3, atol=1e-8)
    assert_trees_equal(after["head"], reference["head"])


def test_layers_are_grouped_as_in_timm():
    """Timm groups a ResNet's stem with its norm, and each block with itself."""
    model = create_model("resnet18", num_classes=3, stem="cifar", width=4, stage_sizes=(2, 1))
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), jnp.zeros((1, 12, 12, 1)), train=False)
    )["params"]["backbone"]
    assert layer_depths(shapes, backbone_parts(model, (12, 12, 1))) == {
        "stem_conv": 4,
        "stem_norm": 4,
        "stage1_block1": 3,
        "stage1_block2": 2,
        "stage2_block1": 1,
    }


def test_parts_in_the_order_of_calls():
    model = create_model("resnet18", num_classes=3, stem="cifar", width=4, stage_sizes=(1, 1))
    parts = backbone_parts(model, (12, 12, 1))
    assert parts == ["stem_conv", "stem_norm", "stage1_block1", "stage2_block1"]
    assert unfreezing_steps(parts, 8) == {
        "stem_conv": 8, "stem_norm": 6, "stage1_block1": 4, "stage2_block1": 2,
    }  # fmt: skip


@pytest.mark.parametrize("clip_norm", [pytest.param(None, marks=pytest.mark.slow), 0.5])
def test_gradual_unfreezing(clip_norm):
    """Ten steps an epoch: dense2 joins after two updates, dense1 after four."""
    optimizer = dataclasses.replace(DECAYING, clip_norm=clip_norm)
    _, states = train(make_config(optimizer=optimizer, unfreeze_epochs=0.4), steps=6)
    for number, (before, after) in enumerate(itertools.pairwise(states)):
        assert moved(before.params["head"], after.params["head"])
        for name, start in {"dense2": 2, "dense1": 4}.items():
            old, new = (state.params["backbone"][name] for state in (before, after))
            if number < start:
                assert_trees_equal(old, new)
            else:
                assert moved(old, new)
    # Nothing that sleeps has a part in the norm that is clipped: the first updates are those of a
    # run whose backbone is frozen.
    _, frozen = train(make_config(optimizer=optimizer, freeze_backbone=True), steps=2)
    assert_trees_equal(states[2].params["head"], frozen[2].params["head"])


def test_delayed_starts_as_new_with_the_schedule_of_its_own():
    tx = optax.adam(0.1)
    late = delayed(tx, 2)
    params = {"x": jnp.array([1.0, -2.0])}
    state, new_state = late.init(params), tx.init(params)
    for number in range(5):
        gradient = {"x": jnp.array([0.3, 0.1]) * (number + 1)}
        updates, state = late.update(gradient, state, params)
        if number < 2:
            assert_trees_equal(updates, {"x": jnp.zeros(2)})
        else:
            expected, new_state = tx.update(gradient, new_state, params)
            assert_trees_equal(updates, expected)


def test_plain_functions():
    """Without a config: two optimizers, or a frozen backbone."""
    params = {"backbone": {"a": jnp.ones(2)}, "head": {"b": jnp.ones(3)}}
    gradients = jax.tree.map(jnp.ones_like, params)
    tx = split_optimizer(optax.sgd(1.0), optax.sgd(0.25))
    updates, _ = tx.update(gradients, tx.init(params), params)
    assert float(updates["backbone"]["a"][0]) == -0.25
    assert float(updates["head"]["b"][0]) == -1.0
    tx = split_optimizer(optax.adamw(1.0, weight_decay=1.0), optax.set_to_zero())
    state = tx.init(params)
    assert {leaf.shape for leaf in jax.tree.leaves(state)} == {(), (3,)}
    updates, _ = tx.update(gradients, state, params)
    assert_trees_equal(updates["backbone"], {"a": jnp.zeros(2)})


@pytest.mark.parametrize(
    "finetune",
    [{"freeze_backbone": True}, {"unfreeze_epochs": 0.2, "backbone_rate": 0.1}],
    ids=["freeze_backbone", "unfreeze_epochs"],
)
def test_jit_equals_pmap(finetune):
    optimizer = OptimizerConfig(learning_rate=0.1, weight_decay=0.01, options={"momentum": 0.9})
    config = make_config(optimizer=optimizer, **finetune)
    _, by_jit = train(config, num_devices=2)
    _, by_pmap = train(config, kind="pmap", num_devices=2)
    for left, right in zip(
        jax.tree.leaves(by_jit[-1].params), jax.tree.leaves(by_pmap[-1].params), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)


def test_resume_equals_the_unbroken_run(tiny_config, tmp_path):
    """Cut at step 10, before the backbone's only part joins at step 12."""
    finetune = FinetuneConfig(unfreeze_epochs=0.3)
    config = dataclasses.replace(tiny_config, optimizer=DECAYING, finetune=finetune)
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    with pytest.raises(Interrupted):
        fit(config, tmp_path / "cut", callbacks=[Quiet(at=10, action=terminate)])
    resumed = Quiet()
    fit(config, tmp_path / "cut", callbacks=[resumed])
    assert resumed.steps[0] > 10
    whole, cut = (final_state(config, tmp_path / name)[1] for name in ("whole", "cut"))
    assert_trees_equal(whole["state"], cut["state"])


def test_learning_rate_search_respects_it(tiny_config, monkeypatch):
    config = dataclasses.replace(tiny_config, finetune=FinetuneConfig(freeze_backbone=True))
    dataset = load_data(config)
    experiment = build_experiment(config, dataset.info)
    made = []

    def spy(*args, **kwargs):
        made.append(make_finetune_optimizer(*args, **kwargs))
        return made[0]

    monkeypatch.setattr("cnnlab.train.lr_finder.make_finetune_optimizer", spy)
    search = find_learning_rate(experiment, dataset, num_steps=12)
    assert np.isfinite(search.suggestion)
    state = jax.eval_shape(made[0]({}).init, experiment.abstract_state().params)
    head = experiment.abstract_state().params["head"]
    assert {leaf.shape for leaf in jax.tree.leaves(state)} <= {
        leaf.shape for leaf in [*jax.tree.leaves(head), jnp.zeros(())]
    }


@pytest.mark.parametrize(
    ("finetune", "sentence"),
    [
        (
            {"freeze_backbone": True, "backbone_rate": 0.1},
            "backbone_rate=0.1 cannot be combined with",
        ),
        (
            {"freeze_backbone": True, "unfreeze_epochs": 0.5},
            "unfreeze_epochs=0.5 cannot be combined with",
        ),
        ({"backbone_rate": 0.0}, "backbone_rate=0.0 must be greater than 0"),
        ({"backbone_rate": -1.0}, "backbone_rate=-1.0 must be greater than 0"),
        ({"unfreeze_epochs": -1.0}, "unfreeze_epochs=-1.0 must be greater than 0"),
        ({"unfreeze_epochs": 1.0}, "unfreeze_epochs=1.0 must be below epochs=1.0"),
    ],
)
def test_impossible_combinations(finetune, sentence):
    with pytest.raises(UserError, match=sentence):
        validate(make_config(**finetune))


def test_unfreezing_longer_than_the_steps_of_the_run():
    config = dataclasses.replace(make_config(epochs=None, unfreeze_epochs=2.0), steps=20)
    with pytest.raises(UserError, match="is 20 steps, and the whole run has only 20"):
        build_experiment(config, INFO)


def test_backbone_without_parameters():
    config = make_config(freeze_backbone=True)
    config.model = ModelConfig(name="mlp", options={"hidden": ()})
    with pytest.raises(UserError, match="has no parameters to fine-tune"):
        build_experiment(config, INFO)


@pytest.mark.peer
def test_layer_rates_agree_with_timm():
    """Rates of a ResNet-18's parameters under layer_decay, by part of the network."""
    _declared = libraries()  # the operators that torchvision wants, while this lives
    timm = pytest.importorskip("timm")
    from timm.optim import param_groups_layer_decay

    peer = timm.create_model("resnet18", num_classes=3)
    groups = param_groups_layer_decay(peer, weight_decay=0.05, layer_decay=0.7)
    scales = {
        name: group["lr_scale"]
        for group in groups
        for param in group["params"]
        for name, own in peer.named_parameters()
        if own is param
    }
    model = create_model("resnet18", num_classes=3)
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), train=False)
    )["params"]["backbone"]
    depths = layer_depths(shapes, backbone_parts(model, (64, 64, 3)))
    pairs = {"stem_conv": "conv1.weight", "stem_norm": "bn1.bias"}
    pairs |= {
        f"stage{s}_block{b}": f"layer{s}.{b - 1}.conv1.weight" for s in range(1, 5) for b in (1, 2)
    }
    assert depths.keys() == pairs.keys()
    head = scales["fc.weight"]
    for part, name in pairs.items():
        assert 0.7 ** depths[part] == pytest.approx(scales[name] / head), part
