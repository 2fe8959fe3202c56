"""Numbers that are traced give what the same numbers give when they are compiled in."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnlab
from cnnlab.config import Config, apply_overrides
from cnnlab.data import DatasetInfo
from cnnlab.train import build_experiment, list_optimizers
from cnnlab.train.hparams import hparams_of, program_key, with_hparams
from cnnlab.train.optim.optimizer import optimizer_factory, optimizer_options

INFO = DatasetInfo(
    "colors", tuple("abc"), (8, 8, 3), {"train": 64}, (0.5, 0.4, 0.6), (0.2, 0.3, 0.2)
)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.integers(0, 256, (4, 8, 8, 3), np.uint8)),
        "label": jnp.asarray(rng.integers(0, 3, 4), jnp.int32),
        "mask": jnp.ones(4),
    }


def all_numbers(rate, scale):
    """A config in which every traceable number of classification is on, at `scale` of its size."""
    return apply_overrides(
        Config(batch_size=4, epochs=None, steps=10),
        {
            "model.name": "mlp",
            "model.options.hidden": (8,),
            "model.options.dropout_rate": 0.5 * scale,
            "optimizer.name": "adamw",
            "optimizer.learning_rate": rate,
            "optimizer.weight_decay": 0.1 * scale,
            "optimizer.clip_norm": 0.5 * scale,
            "optimizer.ema_decay": 0.9 * scale,
            "optimizer.options.b1": 0.9 * scale,
            "optimizer.options.b2": 0.99 * scale,
            "optimizer.options.eps": 1e-3 * scale,
            "schedule.end_factor": 0.2 * scale,
            "finetune.backbone_rate": 0.5 * scale,
            "loss.label_smoothing": 0.2 * scale,
            "augment.random_resized_crop": True,
            "augment.crop_scale": (0.3 * scale, 0.9 * scale),
            "augment.crop_ratio": (0.8 * scale, 1.2 * scale),
            "augment.rotate_degrees": 30.0 * scale,
            "augment.translate": 0.2 * scale,
            "augment.scale": 0.2 * scale,
            "augment.shear_degrees": 10.0 * scale,
            "augment.elastic_alpha": 2.0 * scale,
            "augment.elastic_sigma": 3.0 * scale,
            "augment.brightness": 0.3 * scale,
            "augment.contrast": 0.3 * scale,
            "augment.saturation": 0.3 * scale,
            "augment.hue": 0.1 * scale,
            "augment.randaugment_num_layers": 1,
            "augment.randaugment_magnitude": 9.0 * scale,
            "augment.cutout": int(6 * scale),
            "augment.mixup_alpha": 0.4 * scale,
            "augment.cutmix_alpha": 1.0 * scale,
        },
    )


def test_every_number_at_once(batch):
    """One set of numbers through the program that another one compiled, and through its own."""
    one, other = all_numbers(0.1, 1.0), all_numbers(0.03, 0.5)
    numbers = hparams_of(other)
    assert len(numbers) == 27
    assert program_key(one) == program_key(other)
    experiment, own = build_experiment(one, INFO), build_experiment(other, INFO)
    state = own.create_state().replace(step=jnp.int32(3))  # past the first updates
    traced = jax.jit(lambda n, state: experiment.train_step()(state, batch, n))
    found = traced(numbers, state)
    expected = jax.jit(lambda state: own.train_step()(state, batch))(state)
    for left, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_allclose(left, right, rtol=2e-4, atol=1e-6)
    changed = traced(hparams_of(one), state)[0].params
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), changed, found[0].params)
    assert all(jax.tree.leaves(moved))


def test_label_smoothing_of_segmentation():
    config = apply_overrides(
        Config(task="segmentation"),
        {"model.name": "unet", "model.options.width": 4, "loss.label_smoothing": 0.1,
         "data.image_size": 16},
    )  # fmt: skip
    assert "loss.label_smoothing" in hparams_of(config)
    experiment = build_experiment(config, INFO)
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(2, 4, 4, 3)), jnp.float32)
    batch = {"label": jnp.asarray(rng.integers(0, 3, (2, 4, 4)), jnp.uint8)}

    def loss(smoothing):
        hparams = {"loss.label_smoothing": smoothing}
        return experiment.task.loss(logits, batch, train=True, hparams=hparams)

    np.testing.assert_allclose(jax.jit(loss)(0.3), loss(0.3), rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "lamb", "adagrad", "lion", "muon"])
def test_options_of_optimizers(name):
    """Every option that is a float, at once, on a matrix and a vector."""
    known = optimizer_options(name)
    options = {o: d for o, d in known.items() if isinstance(d, float)}
    options |= {"momentum": 0.9} if "momentum" in known else {}
    config = apply_overrides(
        Config(),
        {"optimizer.name": name, "optimizer.weight_decay": 0.1}
        | {f"optimizer.options.{o}": value for o, value in options.items()},
    )
    numbers = hparams_of(config)
    assert {f"optimizer.options.{o}" for o in options} <= set(numbers)
    params = {"kernel": jnp.linspace(-1.0, 1.0, 12).reshape(3, 4), "bias": jnp.ones(4)}
    grads = jax.tree.map(jnp.cos, params)

    def updates(numbers):
        tx = optimizer_factory(config.optimizer)(numbers, lambda count: 0.1)
        return tx.update(grads, tx.init(params), params)[0]

    halved = {path: value * 0.5 for path, value in numbers.items()}
    compiled = jax.jit(updates)
    for values in (numbers, halved):
        found, expected = compiled(values), jax.jit(lambda values=values: updates(values))()
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), compiled(halved), compiled(numbers))
    assert changed["kernel"]


def test_all_optimizers_have_their_options_sorted():
    """What an optimizer takes as a float is a number; whole numbers and the rest are not."""
    for name in list_optimizers():
        options = {o: d for o, d in optimizer_options(name).items() if isinstance(d, (float, int))}
        config = Config()
        config.optimizer.name, config.optimizer.options = name, options
        numbers = hparams_of(config)
        for option, default in options.items():
            traced = f"optimizer.options.{option}" in numbers
            assert traced == isinstance(default, float), (name, option)


def test_what_is_off_makes_another_program():
    base = {"optimizer.weight_decay": 1e-4, "augment.mixup_alpha": 0.2, "seed": 1}
    one = apply_overrides(Config(), base)
    for path, value in (
        ("optimizer.weight_decay", 0.0),
        ("augment.mixup_alpha", 0.0),
        ("optimizer.clip_norm", 1.0),
        ("optimizer.ema_decay", 0.99),
        ("optimizer.options.momentum", 0.9),
        ("model.options.dropout_rate", 0.5),
        ("schedule.step_factor", 0.5),
        ("batch_size", 64),
        ("steps_per_call", 2),
    ):
        assert program_key(apply_overrides(one, {path: value})) != program_key(one), path
    same = {"optimizer.weight_decay": 1e-3, "augment.mixup_alpha": 0.9, "seed": 7}
    assert program_key(apply_overrides(one, same)) == program_key(one)


def test_with_hparams_leaves_the_config_alone():
    config = all_numbers(0.1, 1.0)
    changed = with_hparams(config, {"model.options.dropout_rate": 0.1, "augment.hue": 0.3})
    assert (changed.model.options["dropout_rate"], changed.augment.hue) == (0.1, 0.3)
    assert (config.model.options["dropout_rate"], config.augment.hue) == (0.5, 0.1)
    assert with_hparams(config, hparams_of(config)) == config


def test_networks_use_the_dropout_that_can_be_traced():
    root = Path(cnnlab.__file__).parent
    for path in [*(root / "models").rglob("*.py"), *(root / "nn").rglob("*.py")]:
        if path.name == "dropout.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            flax_own = isinstance(node, ast.Attribute) and node.attr == "Dropout"
            assert not flax_own, f"{path}: take cnnlab.nn.dropout.Dropout, whose rate may be traced"
