"""What is read of runs, whole and damaged, and the command that trains them again."""

import dataclasses
import json
import shlex
import shutil

import pytest

from cnnlab.cli.config_flags import resolve_config, split_overrides
from cnnlab.config import Config, apply_overrides, flat_fields, load_experiment
from cnnlab.errors import UserError
from cnnlab.report.run_page.reproduce import reproduce_command
from cnnlab.report.run_page.run_record import find_runs, read_records
from tests import trained_runs


@pytest.fixture
def run(tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(trained_runs.lenet(), tmp_path / "runs" / "one")


def read(path):
    return read_records([path])[0]


def test_record_of_a_finished_run(run):
    record = read(run)
    result = json.loads((run / "result.json").read_text())
    assert (record.name, record.status, record.problems) == ("one", "complete", [])
    assert record.metric == "accuracy"
    assert record.result["test"]["accuracy"] == result["test"]["accuracy"]
    validation = [row["accuracy"] for row in record.rows if row["split"] == "validation"]
    assert record.best_validation == max(validation)
    assert record.last_step == record.total_steps == 60
    assert record.images_per_second > 0
    assert record.confusion.sum() == 359


def test_record_of_an_unfinished_run(run):
    (run / "result.json").unlink()
    rows = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(rows[:5]) + '\n{"step": 3')
    record = read(run)
    assert record.status == f"at step {record.last_step} of 60"
    assert 0 < record.last_step < 60
    assert record.result is None
    (run / "metrics.jsonl").unlink()
    assert read(run).status == "no step logged yet"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("result.json", "{", "result.json is damaged"),
        ("dataset.json", None, "dataset.json is missing"),
        ("dataset.json", "[]", "dataset.json is damaged"),
        ("metrics.jsonl", None, "No numbers of training"),
        ("metrics.jsonl", None, "metrics.jsonl is missing"),
        ("metrics.jsonl", "", "metrics.jsonl is damaged or was edited"),
        ("metrics.jsonl", "1\n", "metrics.jsonl is damaged: line 1 of 1 cannot be read"),
        ("confusion_matrix.npy", "", "confusion_matrix.npy is damaged"),
        ("confusion_matrix.npy", None, "confusion_matrix.npy is missing"),
        ("environment.json", "{]", "environment.json is damaged"),
    ],
)
def test_what_is_missing_or_damaged_is_told(run, name, content, told):
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)
    assert any(told in problem for problem in read(run).problems)


def test_damaged_config_is_an_error(run):
    (run / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        read(run)


def test_find_runs(run, tmp_path):
    deep = tmp_path / "study" / "trials" / "0"
    shutil.copytree(run, deep)
    assert find_runs([run]) == [run]
    assert find_runs([tmp_path / "runs"]) == [run]
    assert find_runs([tmp_path / "study", run, run]) == [deep, run]
    with pytest.raises(UserError, match="There is no folder"):
        find_runs([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="There is no run in"):
        find_runs([tmp_path / "empty"])


def test_names_tell_runs_apart(run, tmp_path):
    paths = [shutil.copytree(run, tmp_path / parent / "seed0") for parent in ("a", "b")]
    assert [record.name for record in read_records(paths)] == ["a/seed0", "b/seed0"]
    assert [record.name for record in read_records([*paths, run])] == [
        "a/seed0",
        "b/seed0",
        "runs/one",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 3, "optimizer.learning_rate": 0.025, "augment.scale": 0.0},
        {"model.name": "resnet18", "model.options": {"stem": "cifar", "width": 8}},
        {"epochs": None, "steps": 7, "data.name": "folder:/a path/with spaces"},
        {
            "schedule.step_epochs": (3.0, 5.5),
            "data.mean": (0.1, 0.2, 0.3),
            "data.std": (1.0, 1.0, 1.0),
        },
        {
            "task": "segmentation",
            "loss.terms": {"dice": 1.0},
            "loss.options": {"focal": {"gamma": 3.0}},
        },
    ],
)
@pytest.mark.parametrize("start", ["lenet_digits", "unet_digit_scenes", None])
def test_reproduce_command(start, changes):
    """Parsed as the command line does, it gives the config."""
    config = apply_overrides(load_experiment(start) if start else Config(), changes)
    words = shlex.split(reproduce_command(config, "runs/a b"))
    assert words[:3] == ["python", "launch.py", "train"]
    rest, overrides = split_overrides(words[3:])
    name, workdir = rest
    assert workdir == "--workdir=runs/a b"
    again = resolve_config(name.removeprefix("--config="), overrides)
    assert flat_fields(again) == flat_fields(config)
    if start and not changes:
        assert name == f"--config={start}"
        assert not overrides


def test_a_run_of_objects_is_made_again_in_python():
    config = dataclasses.replace(Config(), objects=("dataset", "model"))
    assert reproduce_command(config, "runs/x") == (
        "cnnlab.train.fit(load_experiment(\"config.json\"), 'runs/x', dataset=dataset, model=model)"
    )


def test_reproduce_command_of_what_flags_cannot_say(monkeypatch):
    monkeypatch.setattr("cnnlab.report.run_page.reproduce.experiment_names", dict)
    assert "--config=config.json" in reproduce_command(Config(), "runs/x")
