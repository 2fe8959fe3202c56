"""A segmentation run from its start to its predictions, on scenes that take no time to learn."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from cnnlab.config import Config, apply_overrides
from cnnlab.data import ArraySource, Dataset, DatasetInfo
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.inference.run import evaluate_run
from cnnlab.models import create_model
from cnnlab.pretrained import files
from cnnlab.pretrained.convert import named_tensors, state_dict
from cnnlab.pretrained.peers import find_peer
from cnnlab.train import build_experiment, fit
from cnnlab.train.callbacks.eval_images import EvalImages
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.warm_start import initial_state, read_pretrained
from tests.conftest import assert_trees_equal

CONFIG = {
    "task": "segmentation",
    "data.name": "squares",
    "model.name": "unet_bn",
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 0.02,
    "batch_size": 8,
    "epochs": None,
    "steps": 30,
    "log_every_steps": 10,
    "evaluation.every_epochs": 5.0,
}
NAMES = ("background", "bright", "dark")


def squares(count, seed):
    """Gray images with a bright and a dark square, and an ignored frame."""
    rng = np.random.default_rng(seed)
    images = np.full((count, 16, 16, 1), 128, np.uint8)
    labels = np.zeros((count, 16, 16), np.uint8)
    for image, label in zip(images, labels, strict=True):
        for number, value in ((1, 250), (2, 5)):
            top, left = rng.integers(1, 10, 2)
            image[top : top + 5, left : left + 5] = value
            label[top : top + 5, left : left + 5] = number
        label[0] = 255
    return ArraySource(images, labels)


@pytest.fixture
def data(monkeypatch):
    splits = {"train": squares(40, 0), "validation": squares(10, 1), "test": squares(11, 2)}
    sizes = {name: len(source) for name, source in splits.items()}
    dataset = Dataset(DatasetInfo("squares", NAMES, (16, 16, 1), sizes, (0.5,), (0.25,)), splits)
    for place in ("train.loop", "inference.run"):
        monkeypatch.setattr(f"cnnlab.{place}.load_data", lambda config, record=None: dataset)
    return dataset


SMALL = {"model.options.width": 4, "model.options.levels": 2}


def config(**overrides):
    small = SMALL if overrides.get("model.name", "unet_bn") == "unet_bn" else {}
    return apply_overrides(Config(), CONFIG | small | overrides)


def test_a_run_learns_draws_and_predicts(data, tmp_path):
    drawn = []

    def picture(images, truths, predictions, class_names):
        drawn.append((images.shape, truths.shape, predictions.shape, class_names))
        return np.zeros((4, 4, 3), np.uint8)

    result = fit(config(), tmp_path, callbacks=[EvalImages(picture)])
    assert result["test"]["miou"] > 0.9
    assert set(result["test"]) >= {"accuracy", "mean_dice", "boundary_f1", "loss"}
    shapes = ((6, 16, 16, 1), (6, 16, 16), (6, 16, 16), NAMES)
    rows = [row for row in read_rows(tmp_path / "metrics.jsonl") if row["split"] == "validation"]
    assert drawn == [shapes] * len(rows)
    assert Image.open(tmp_path / "predictions.png").size == (4, 4)
    confusion = np.load(tmp_path / "confusion_matrix.npy")
    assert confusion.sum() == 11 * 15 * 16  # the ignored row counts for nothing

    run = load_run(tmp_path)
    probabilities = run.probabilities(data.splits["test"].images[:3])
    assert probabilities.shape == (3, 16, 16, 3)
    np.testing.assert_allclose(probabilities.sum(-1), 1.0, rtol=1e-5)
    assert run.probabilities(np.zeros((1, 21, 18, 1), np.uint8)).shape == (1, 21, 18, 3)
    numbers = evaluate_run(run)
    assert numbers["miou"] == pytest.approx(result["test"]["miou"])
    assert numbers["num_examples"] == 11
    assert set(numbers["per_class"]) == set(NAMES)
    assert np.mean([row["iou"] for row in numbers["per_class"].values()]) == pytest.approx(
        numbers["miou"]
    )


@pytest.mark.slow  # tests/train/test_loop.py has the same for classification
def test_resume_equals_the_unbroken_run(data, tmp_path):
    fit(config(**{"steps": 12, "checkpoint.every_steps": 6}), tmp_path / "whole")
    run = load_run(tmp_path / "whole", "latest")
    part = tmp_path / "part"
    fit(config(**{"steps": 12, "checkpoint.every_steps": 6}), part)
    newest = max((part / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
    for path in newest.rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    (part / "result.json").unlink()
    fit(config(**{"steps": 12, "checkpoint.every_steps": 6}), part)
    assert_trees_equal(load_run(part, "latest").variables, run.variables)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"model.name": "lenet"}, "is for classification, and task=segmentation"),
        ({"task": "classification"}, "is for segmentation, and task=classification"),
        ({"loss.terms.dise": 1.0}, "dice"),
        ({"evaluation.metric": "mioo"}, "Did you mean 'miou'"),
        ({"loss.binary": True}, "binary"),
    ],
)
def test_a_mistake_is_one_sentence(data, tmp_path, overrides, text):
    with pytest.raises(UserError, match=text):
        fit(config(**overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def write_as(path, variables, name):
    """A file of a narrow network with torchvision's names."""
    peer = find_peer("torchvision", name)
    stored = state_dict(variables, named_tensors(variables, peer.namings[0]))
    files.write(path, stored, {"architecture": str(peer)})


def test_an_encoder_starts_from_a_classifier_s_weights(data, tmp_path):
    """From a file with torchvision's names, and from the folder of a run."""
    small = {"width": 8, "stage_sizes": (1, 1, 1, 1)}
    classifier = create_model("resnet18", num_classes=7, **small)
    images = np.zeros((1, 64, 64, 3), np.float32)
    shapes = jax.eval_shape(lambda: classifier.init(jax.random.key(5), images, train=False))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)
    path = tmp_path / "resnet18.safetensors"
    write_as(path, variables, "resnet18")
    unet = {
        "model.name": "encoder_unet",
        "model.options.encoder": "resnet18",
        "model.options.encoder_options": small,
        "model.options.widths": (8,) * 5,
        "model.pretrained": str(path),
    }
    info = dataclasses.replace(data.info, image_shape=(64, 64, 3), mean=(0.5,) * 3, std=(1.0,) * 3)
    state = initial_state(build_experiment(config(**unet), info))
    assert_trees_equal(state.params["backbone"], variables["params"]["backbone"])
    statistics = variables["batch_stats"]["backbone"]
    assert_trees_equal(state.collections["batch_stats"]["backbone"], statistics)

    gray_info = dataclasses.replace(info, image_shape=(64, 64, 1), mean=(0.5,), std=(1.0,))
    gray = read_pretrained(build_experiment(config(**unet), gray_info)).arrays
    stem = variables["params"]["backbone"]["stem_conv"]["kernel"].sum(axis=2, keepdims=True)
    found = gray["params", "backbone", "stem_conv", "kernel"]
    np.testing.assert_allclose(found, stem, rtol=1e-5)

    with pytest.raises(UserError, match="encoder of its own"):
        build_experiment(config(**{"model.pretrained": str(path)}), info)
    with pytest.raises(UserError, match="does not fit"):
        wider = unet | {"model.options.encoder_options": small | {"width": 16}}
        read_pretrained(build_experiment(config(**wider), info))


def test_a_whole_network_s_weights(data, tmp_path):
    """From a file with torchvision's names: all of it, or without its head; as a source says."""
    network = {
        "model.name": "fcn",
        "model.options.encoder_options": {"width": 4, "stage_sizes": (1, 1, 1, 1)},
        "model.pretrained": str(tmp_path / "fcn.safetensors"),
    }
    info = dataclasses.replace(data.info, image_shape=(64, 64, 3), mean=(0.5,) * 3, std=(1.0,) * 3)
    experiment = build_experiment(config(**network), info)
    shapes = experiment.abstract_state().variables
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)
    write_as(tmp_path / "fcn.safetensors", variables, "fcn_resnet50")
    found = read_pretrained(experiment)
    assert not found.new
    assert_trees_equal(found.merge(shapes), variables)
    without = read_pretrained(
        build_experiment(config(**network, **{"finetune.new_head": True}), info)
    )
    assert {path[1] for path in without.arrays} == {"backbone"}
    assert {path[1] for path in without.new} == {"head"}


@pytest.mark.parametrize(
    ("source", "options", "sentence"),
    [
        ("torchvision/fcn_resnet50", {}, "the network is encoder_unet: set model.name=fcn"),
        ("timm/resnet18", {}, "the encoder is resnet34: set model.options.encoder=resnet18"),
        (
            "timm/mobilenetv3_small_100",
            {"encoder": "mobilenet_v3_small", "encoder_options": {"norm_epsilon": 0.1}},
            "need model.options.encoder_options.norm_epsilon=1e-05",
        ),
    ],
)
def test_sources_that_do_not_fit(data, source, options, sentence):
    network = {"model.name": "encoder_unet", "model.pretrained": source, "model.options": options}
    with pytest.raises(UserError, match=sentence):
        build_experiment(config(**network), data.info)


def test_options_of_a_named_network_are_set(data):
    network = {"model.name": "fcn", "model.pretrained": "torchvision/fcn_resnet101"}
    info = dataclasses.replace(data.info, image_shape=(64, 64, 3), mean=(0.5,) * 3, std=(1.0,) * 3)
    experiment = build_experiment(config(**network), info)
    assert experiment.model_options == {"encoder": "resnet101"}
    assert experiment.model.backbone.stage_sizes == (3, 4, 23, 3)
    assert experiment.info.mean == (0.485, 0.456, 0.406)
