"""A multi-label run from a table of labels: training, resume, evaluation, prediction, refusals."""

import json

import numpy as np
import pytest
from optax.contrib import ScheduleFreeState, schedule_free_eval_params
from PIL import Image

from cnnlab.cli.main import main
from cnnlab.config import Config, apply_overrides, validate
from cnnlab.errors import UserError
from cnnlab.inference.run import evaluate_run, load_run
from cnnlab.train import fit
from cnnlab.train.checkpoints.reader import CheckpointReader
from cnnlab.train.engines.compiled_steps import CompiledSteps
from cnnlab.train.run_data import load_data
from cnnlab.train.runtime.devices import make_parallel


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """120 images: a bright left half is `left`, a bright right half `right`, both or none."""
    folder = tmp_path_factory.mktemp("table")
    draw = np.random.default_rng(0)
    lines = ["path,left,right"]
    for number in range(120):
        left, right = draw.integers(0, 2, 2)
        pixels = draw.integers(0, 60, (8, 8))
        pixels[:, :4] += 150 * left
        pixels[:, 4:] += 150 * right
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{left},{right}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def config_of(table, **fields):
    base = {
        "task": "multilabel",
        "data.name": f"folder:{table}",
        "model.name": "mlp",
        "model.options.hidden": "(16,)",
        "epochs": 12,
        "batch_size": 16,
        "evaluation.metrics": "auroc,average_precision",
        "evaluation.every_epochs": 4,
        "optimizer.learning_rate": 0.3,
    }
    return apply_overrides(Config(), base | fields)


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    fit(config_of(table), folder)
    return folder


def test_it_learns_and_is_evaluated(run):
    trained = load_run(run)
    numbers = evaluate_run(trained, "test")
    assert numbers["f1"] > 0.95
    assert numbers["auroc"] > 0.99
    assert numbers["average_precision"] > 0.99
    assert numbers["subset_accuracy"] > 0.9
    assert set(numbers["per_class"]) == {"left", "right"}
    row = numbers["per_class"]["left"]
    assert set(row) == {"positives", "precision", "recall", "f1", "auroc", "average_precision"}
    result = json.loads((run / "result.json").read_text())
    assert result["test"]["f1"] == pytest.approx(numbers["f1"])


def test_prediction_names_every_label_above_the_threshold(run, table, capsys):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[:, :4] = 180
    Image.fromarray(pixels).save(table.parent / "left.png")
    path = str(table.parent / "left.png")
    assert main(["launch.py", "predict", f"--workdir={run}", path, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"]
    assert [entry["class"] for entry in found["labels"]] == ["left"]
    main(["launch.py", "predict", f"--workdir={run}", path, "--threshold=0", "--json"])
    (found,) = json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"]
    assert [entry["class"] for entry in found["labels"]] == ["left", "right"]


@pytest.mark.parametrize("kind", ["confusion", "calibration", "mistakes", "pca"])
def test_analyses_of_single_labels_refuse(run, kind, capsys):
    code = main(["launch.py", "analyze", kind, f"--workdir={run}"])
    assert code != 0
    assert "multilabel" in capsys.readouterr().err


def test_the_report_is_written(run, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert main(["launch.py", "report", str(run), f"--out={out}"]) == 0
    assert "average_precision" in out.read_text()


def test_labels_of_another_task_are_one_sentence(table):
    config = apply_overrides(config_of(table), {"data.name": "digits"})
    with pytest.raises(UserError, match="needs several classes for each image, and digits has one"):
        CompiledSteps(config, load_data(config))


def test_mixup_smoothing_and_weights_combine(table):
    config = config_of(
        table,
        **{
            "augment.mixup_alpha": 0.2,
            "loss.label_smoothing": 0.1,
            "loss.class_weights": "balanced",
            "loss.terms": {"focal": 1.0, "binary_cross_entropy": 0.5},
        },
    )
    compiled = CompiledSteps(config, load_data(config))
    counts = compiled.dataset.info.class_counts["train"]
    task = compiled.experiment(config).task
    assert task.class_weights == tuple(sum(counts) / (2 * c) for c in counts)
    assert "loss" in compiled.zero_metrics


def test_schedule_free_runs_are_judged_and_loaded_with_their_averages(table, tmp_path):
    """What is evaluated, and what `load_run` gives to predict and export, is x and not y."""
    options = {"optimizer.name": "schedule_free_sgd", "optimizer.options.b1": 0.5}
    config = config_of(table, **options, **{"epochs": 1, "schedule.name": "constant"})
    fit(config, tmp_path / "run")
    trained = load_run(tmp_path / "run", "latest")
    compiled = CompiledSteps(config, load_data(config))
    experiment = compiled.experiment(config)
    shapes = {"state": experiment.abstract_state(), "metrics": experiment.zero_metrics()}
    target = make_parallel("jit", 1).abstract(shapes)
    state = CheckpointReader(tmp_path / "run").restore(target, "latest")[1]["state"]
    expected = schedule_free_eval_params(
        next(s for s in state.opt_state if isinstance(s, ScheduleFreeState)), state.params
    )
    kernel = expected["head"]["logits"]["kernel"]
    np.testing.assert_allclose(trained.variables["params"]["head"]["logits"]["kernel"], kernel)
    assert np.abs(kernel - state.params["head"]["logits"]["kernel"]).max() > 1e-4


def test_an_average_of_an_average_is_refused(table):
    fields = {"optimizer.name": "schedule_free_sgd", "optimizer.ema_decay": 0.9}
    with pytest.raises(UserError, match="averages its weights itself"):
        validate(config_of(table, **fields))
