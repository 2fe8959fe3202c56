"""A segmentation run from its start to its predictions, on scenes that take no time to learn."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.config import Config, apply_overrides
from cnnlab.data import ArraySource, Dataset, DatasetInfo
from cnnlab.errors import UserError
from cnnlab.train import fit, load_run
from cnnlab.train.records import read_rows
from cnnlab.train.restore import evaluate_run
from tests.conftest import assert_trees_equal

CONFIG = {
    "task": "segmentation",
    "data.name": "squares",
    "model.name": "unet_bn",
    "model.options.width": 4,
    "model.options.levels": 2,
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
    for place in ("loop", "restore"):
        monkeypatch.setattr(f"cnnlab.train.{place}.load_data", lambda config: dataset)
    return dataset


def config(**overrides):
    return apply_overrides(Config(), CONFIG | overrides)


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
