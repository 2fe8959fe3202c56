"""A baseline through the command line, as a network is: run folder, eval, predict, mistakes."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from cnnlab import classical, create_model, data
from cnnlab.cli.main import main
from cnnlab.config import Config, DataConfig, ModelConfig
from cnnlab.errors import UserError
from cnnlab.models import catalog
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.callbacks.progress import PlainDisplay

FAST = ["--config=hog_digits", "--config.data.image_size=16", "--config.model.options.C=0.1"]


def launch(*arguments):
    return main(["launch.py", *arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A complete run on the digits of 16 pixels: 324 features."""
    workdir = tmp_path_factory.mktemp("classical") / "run"
    assert launch("train", *FAST, f"--workdir={workdir}") == 0
    return workdir


@pytest.fixture(scope="module")
def result(run):
    return json.loads((run / "result.json").read_text())


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_run_folder(run, result):
    for name in ("config.json", "dataset.json", "environment.json", "confusion_matrix.png"):
        assert (run / name).is_file(), name
    assert list((run / "tensorboard").glob("events*"))
    rows = read_rows(run / "metrics.jsonl")
    assert [row["split"] for row in rows] == ["train", "validation", "test"]
    assert {row["step"] for row in rows} == {result["steps"]}
    assert np.load(run / "confusion_matrix.npy").sum() == 359
    assert result["num_parameters"] == 324 * 10 + 10


def test_accuracy(result):
    assert result["test"]["accuracy"] > 0.97
    assert result["test"]["loss"] < 0.2


def test_eval_gives_the_numbers_of_the_run(run, result, capsys):
    for row in read_rows(run / "metrics.jsonl"):
        assert launch("eval", f"--workdir={run}", f"--split={row['split']}", "--json") == 0
        numbers = last_json(capsys)
        # The fit's own training numbers come from standardised features: the same but for rounding.
        rounding = 1e-4 if row["split"] == "train" else 0.0
        for name in ("loss", "accuracy", "top5", "mean_class_accuracy"):
            assert numbers[name] == pytest.approx(row[name], abs=rounding), name
        assert numbers["checkpoint_step"] == result["checkpoint_step"]
        assert len(numbers["per_class_accuracy"]) == 10


def test_predict_names_the_digit(run, tmp_path, capsys):
    test = data.load("digits", image_size=16).splits["test"]
    paths = [str(tmp_path / f"{number}.png") for number in range(20)]
    for path, image in zip(paths, test.images, strict=False):
        Image.fromarray(image[..., 0]).save(path)
    assert launch("predict", f"--workdir={run}", *paths, "--top=10", "--json") == 0
    predictions = [p["top"] for p in last_json(capsys)["predictions"]]
    first = [top[0]["class"] for top in predictions]
    assert sum(name == str(label) for name, label in zip(first, test.labels, strict=False)) >= 19
    assert sum(entry["probability"] for entry in predictions[0]) == pytest.approx(1, abs=1e-4)


def test_train_again_is_complete(run, capsys):
    before = (run / "weights.npz").stat().st_mtime_ns
    assert launch("train", f"--workdir={run}") == 0
    out = capsys.readouterr().out
    assert "nothing is left to train" in out
    assert "summary" not in out
    assert (run / "weights.npz").stat().st_mtime_ns == before


def test_a_fit_that_was_stopped_starts_over_and_ends_the_same(run, tmp_path, result, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "result.json").unlink()
    (copy / "weights.npz").unlink()
    assert launch("eval", f"--workdir={copy}") == 1
    assert "was not fitted to its end" in capsys.readouterr().err
    assert launch("train", f"--workdir={copy}") == 0
    again = json.loads((copy / "result.json").read_text())
    assert again["test"]["accuracy"] == pytest.approx(result["test"]["accuracy"], abs=1e-9)
    assert len(read_rows(copy / "metrics.jsonl")) == 3


def test_train_with_another_config_shows_the_difference(run, capsys):
    assert launch("train", *FAST, f"--workdir={run}", "--config.model.options.C=1") == 1
    assert "model.options.C: 0.1 -> 1" in capsys.readouterr().err


def test_fit_without_validation_split_and_without_convergence(tmp_path):
    class Notes(PlainDisplay):
        notes: list = []  # noqa: RUF012

        def note(self, text):
            self.notes.append(text)

    config = Config(
        data=DataConfig(name="digits", image_size=8, validation_fraction=0.0),
        model=ModelConfig(name="hog", options={"max_iterations": 2}),
    )
    result = classical.fit(config, tmp_path / "run", display=Notes())
    assert result["steps"] == 2
    assert any("max_iterations=2 before it converged" in note for note in Notes.notes)
    assert [row["split"] for row in read_rows(tmp_path / "run/metrics.jsonl")] == ["train", "test"]


def test_segmentation_is_refused(tmp_path):
    config = Config(task="segmentation", model=ModelConfig(name="hog"))
    with pytest.raises(UserError, match="hog is a baseline of classification, and task=segm"):
        classical.fit(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_features_that_would_not_fit_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnlab.classical.fitting._MAX_BYTES", 2**20)
    config = Config(data=DataConfig(name="digits"), model=ModelConfig(name="hog"))
    with pytest.raises(UserError, match=r"1,296 features of each of 1,295 .* raise model\.options"):
        classical.fit(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("model.options.cell_sise=4", "has no option 'cell_sise'. Did you mean 'cell_size'"),
        ("model.options.cell_size=0", "cell_size=0 must be a whole number greater than 0"),
        ("model.options.orientations=8.5", "orientations=8.5 must be a whole number"),
        ("model.options.block_size=true", "block_size=True must be a whole number"),
        ("model.options.C=-1", "C=-1 must be a number greater than 0"),
        ("model.options.C=much", "C='much' must be a number"),
        ("model.options.cell_size=20", "smaller than a block of 40x40"),
        ("model.name=hogg", "Unknown model 'hogg'. Did you mean 'hog'"),
    ],
)
def test_mistakes(flag, sentence, tmp_path, capsys):
    flags = ["--config=hog_digits", f"--config.{flag}", f"--workdir={tmp_path}/run"]
    assert launch("train", *flags) == 1
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert not (tmp_path / "run").exists()


def test_checkpoint_of_another_step(run, capsys):
    assert launch("eval", f"--workdir={run}", "--checkpoint=100000") == 1
    assert "must be best, latest or" in capsys.readouterr().err
    assert launch("eval", f"--workdir={run}", "--checkpoint=latest") == 0


def test_it_is_listed_and_no_network(capsys):
    assert "hog" in catalog.BASELINES
    assert launch("list", "models", "hog") == 0
    assert "Dalal & Triggs" in capsys.readouterr().out
    assert launch("summary", "--config=hog_digits") == 1
    assert "no network" in capsys.readouterr().err
    with pytest.raises(UserError, match="'hog' is a classical baseline and no network"):
        create_model("hog", num_classes=10)
