"""A segmentation run from its start to its predictions, on scenes that take no time to learn."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from cnnlab.config import Config, apply_overrides
from cnnlab.data import ArraySource, Dataset, DatasetInfo
from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.pretrained import save
from cnnlab.train import fit, load_run, make_setup
from cnnlab.train.records import read_rows
from cnnlab.train.restore import evaluate_run
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
    for place in ("programs", "restore"):
        monkeypatch.setattr(f"cnnlab.train.{place}.load_data", lambda config: dataset)
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

    result = fit(config(), tmp_path, picture=picture)
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


def test_an_encoder_starts_from_a_classifier_s_weights(data, tmp_path):
    """From a file with torchvision's names, and from the folder of a run."""
    classifier = create_model("resnet18", num_classes=7, width=8)
    images = np.zeros((1, 64, 64, 3), np.float32)
    variables = jax.jit(lambda: classifier.init(jax.random.key(5), images, train=False))()
    path = tmp_path / "resnet18.safetensors"
    save(path, variables, "resnet18", naming="torchvision")
    unet = {
        "model.name": "encoder_unet",
        "model.options.encoder": "resnet18",
        "model.options.encoder_options.width": 8,
        "model.options.widths": (8,) * 5,
        "model.pretrained": str(path),
    }
    info = dataclasses.replace(data.info, image_shape=(64, 64, 3), mean=(0.5,) * 3, std=(1.0,) * 3)
    state = make_setup(config(**unet), info).create_state()
    assert_trees_equal(state.params["backbone"], variables["params"]["backbone"])
    statistics = variables["batch_stats"]["backbone"]
    assert_trees_equal(state.collections["batch_stats"]["backbone"], statistics)

    gray = make_setup(config(**unet), dataclasses.replace(info, image_shape=(64, 64, 1),
                      mean=(0.5,), std=(1.0,))).create_state()  # fmt: skip
    stem = variables["params"]["backbone"]["stem_conv"]["kernel"].sum(axis=2, keepdims=True)
    np.testing.assert_allclose(gray.params["backbone"]["stem_conv"]["kernel"], stem, rtol=1e-5)

    with pytest.raises(UserError, match="encoder of its own"):
        make_setup(config(**{"model.pretrained": str(path)}), info)
    with pytest.raises(UserError, match="does not fit"):
        wider = unet | {"model.options.encoder_options.width": 16}
        make_setup(config(**wider), info).create_state()


def test_a_whole_network_s_weights(data, tmp_path):
    """From a file with torchvision's names: all of it, or without its head; as a source says."""
    network = {
        "model.name": "fcn",
        "model.options.encoder_options": {"width": 4, "stage_sizes": (1, 1, 1, 1)},
        "model.pretrained": str(tmp_path / "fcn.safetensors"),
    }
    info = dataclasses.replace(data.info, image_shape=(64, 64, 3), mean=(0.5,) * 3, std=(1.0,) * 3)
    setup = make_setup(config(**network), info)
    shapes = setup.abstract_state().variables
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)
    save(tmp_path / "fcn.safetensors", variables, "fcn")
    found = setup.read_pretrained()
    assert not found.new
    assert_trees_equal(found.merge(shapes), variables)
    without = make_setup(config(**network, **{"finetune.new_head": True}), info).read_pretrained()
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
        make_setup(config(**network), data.info)


def test_options_of_a_named_network_are_set(data):
    network = {"model.name": "fcn", "model.pretrained": "torchvision/fcn_resnet101"}
    info = dataclasses.replace(data.info, image_shape=(64, 64, 3), mean=(0.5,) * 3, std=(1.0,) * 3)
    setup = make_setup(config(**network), info)
    assert setup.model_options == {"encoder": "resnet101"}
    assert setup.model.backbone.stage_sizes == (3, 4, 23, 3)
    assert setup.info.mean == (0.485, 0.456, 0.406)
