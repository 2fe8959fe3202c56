"""`fit` and `load_run` with objects in place of names, and callbacks by name."""

import json

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

import cnnlab
from cnnlab import data, inference, train
from cnnlab.cli.main import main
from cnnlab.config import Config, apply_overrides
from cnnlab.errors import UserError
from cnnlab.train import Callback

CONFIG = apply_overrides(Config(), {"batch_size": 16, "epochs": None, "steps": 6})


class Linear(nn.Module):
    """Logits of all pixels; a plain module."""

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(2, name="logits")(images.reshape(len(images), -1))


def dataset():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    images = (100 * labels[:, None, None, None] + rng.integers(0, 50, (80, 6, 6, 1))).astype(
        np.uint8
    )
    return data.from_arrays(images, labels, ["dark", "bright"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects") / "run"
    objects = {"model": Linear(), "dataset": dataset(), "tx": optax.adam(0.01)}
    return folder, objects, train.fit(CONFIG, folder, **objects)


def test_a_run_says_which_objects_it_was_given(run):
    folder, _, result = run
    assert json.loads((folder / "config.json").read_text())["objects"] == ["dataset", "model", "tx"]
    assert result["num_parameters"] == 36 * 2 + 2


def test_it_is_loaded_and_evaluated_with_the_same_objects(run):
    folder, objects, result = run
    loaded = inference.load_run(folder, **objects)
    numbers = inference.evaluate_run(loaded)
    assert numbers["accuracy"] == result["test"]["accuracy"]
    assert train.fit(CONFIG, folder, **objects) == result


@pytest.mark.parametrize(("name", "word"), [("model", "network"), ("tx", "optimizer")])
def test_an_object_that_is_not_given_is_named(run, name, word):
    folder, objects, _ = run
    others = {key: value for key, value in objects.items() if key != name}
    with pytest.raises(UserError, match=f"was given its {word} as an object.* the argument {name}"):
        inference.load_run(folder, **others)


def test_its_data_need_the_object(run):
    folder, objects, _ = run
    loaded = inference.load_run(folder, model=objects["model"], tx=objects["tx"])
    with pytest.raises(UserError, match="was given its data set as an object"):
        inference.evaluate_run(loaded)


@pytest.mark.parametrize("command", ["eval", "train", "export", "summary"])
def test_commands_say_what_they_cannot_know(run, command, tmp_path, capsys):
    out = [f"--out={tmp_path}/x"] if command == "export" else []
    which = f"--config={run[0]}/config.json" if command == "summary" else f"--workdir={run[0]}"
    assert main(["launch.py", command, which, *out]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: This run was given its ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("overrides", "needs"),
    [
        ({"finetune.freeze_backbone": True}, "finetune"),
        ({"finetune.backbone_rate": 0.1}, "finetune"),
    ],
)
def test_a_plain_module_has_no_backbone(overrides, needs):
    config = apply_overrides(CONFIG, overrides)
    with pytest.raises(UserError, match=f"{needs} needs a network with a backbone and a head"):
        train.build_experiment(config, dataset().info, model=Linear())


class Narrow(nn.Module):
    """Another number of logits than the task needs."""

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(3)(images.reshape(len(images), -1))


class Deaf(nn.Module):
    """Cannot be told whether it trains."""

    def __call__(self, images):
        return images


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Narrow(), r"Narrow must map two images to logits \[2, ..., 2\], and gives \[2, 3\]."),
        (Deaf(), r"Deaf must be called as model\(images, train=...\)"),
    ],
)
def test_a_module_that_does_not_fit_is_one_sentence(model, sentence):
    with pytest.raises(UserError, match=sentence):
        train.build_experiment(CONFIG, dataset().info, model=model)


@cnnlab.register_callback("count_evaluations_of_a_test")
class Count(Callback):
    """Counts evaluations."""

    seen = 0

    def __init__(self, *, by=1):
        self.by = by

    def on_evaluation(self, run, row):
        Count.seen += self.by


def test_a_callback_by_name(tmp_path):
    overrides = {"callbacks.count_evaluations_of_a_test.by": 2, "evaluation.every_epochs": 1.0}
    config = apply_overrides(CONFIG, overrides)
    train.fit(config, tmp_path, model=Linear(), dataset=dataset())
    assert Count.seen >= 2
    assert Count.seen % 2 == 0


@pytest.mark.parametrize(
    ("callbacks", "sentence"),
    [
        ({"count_evaluation_of_a_test": {}}, "Did you mean 'count_evaluations_of_a_test'"),
        ({"count_evaluations_of_a_test": {"buy": 1}}, "has no option 'buy'"),
    ],
)
def test_mistakes_in_callbacks(callbacks, sentence, tmp_path):
    config = apply_overrides(CONFIG, {"callbacks": callbacks})
    with pytest.raises(UserError, match=sentence):
        train.fit(config, tmp_path / "run", model=Linear(), dataset=dataset())
    assert not (tmp_path / "run").exists()


def test_registered_augmentations_and_schedules(tmp_path):
    @cnnlab.register_augmentation("invert_of_a_test")
    def invert(rng, images, *, strength=1.0):
        flipped = jax.random.bernoulli(rng, strength, (len(images), 1, 1, 1))
        return jax.numpy.where(flipped, 1 - images, images)

    @cnnlab.register_schedule("inverse_of_a_test")
    def inverse(peak, steps, *, scale=10):
        return lambda step: peak * scale / (scale + step)

    overrides = {
        "augment.extra.invert_of_a_test.strength": 0.5,
        "schedule.name": "inverse_of_a_test",
        "schedule.options.scale": 5,
    }
    config = apply_overrides(CONFIG, overrides)
    experiment = train.build_experiment(config, dataset().info, model=Linear())
    assert experiment.schedule(5) == pytest.approx(0.05)
    images = np.full((8, 6, 6, 1), 255, np.uint8)
    batch = {"image": images, "label": np.zeros(8, np.int32), "mask": np.ones(8, np.float32)}
    augmented = np.asarray(experiment.augment(jax.random.key(0), batch)["image"])
    assert len(np.unique(augmented)) == 2
