"""Weights & Biases and MLflow get the rows of a run, also of a resumed one; nothing is sent."""

import json
import re
import struct

import pytest

from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.train import Callback, Pruned, Stop, fit
from cnnlab.train.callbacks.mlflow import MlflowCallback
from cnnlab.train.callbacks.wandb import WandbCallback, named


class StopAt(Callback):
    """Stops a run, unfinished, at its first evaluation from `step` on."""

    def __init__(self, step):
        self._step = step

    def on_evaluation(self, run, row):
        return Stop("enough", finish=False) if row["step"] >= self._step else None


@pytest.fixture
def config(tiny_config):
    return apply_overrides(tiny_config, {"log_every_steps": 2, "evaluation.every_epochs": 0.1})


def rows_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def history(rows):
    """{name: {step: value}} of all rows, named as the trackers name them."""
    found = {}
    for row in rows:
        for name, value in named(row).items():
            found.setdefault(name, {})[row["step"]] = value
    return found


def test_rows_are_named_by_split_and_metric():
    row = {"step": 3, "epoch": 1.5, "split": "train", "loss": 0.5, "grad_norm": None}
    assert named(row) == {"train/loss": 0.5}


def test_wandb_offline_holds_every_row(config, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    workdir = tmp_path / "run"
    with pytest.raises(Pruned):
        fit(config, workdir, callbacks=[WandbCallback(project="p", tags=("a",)), StopAt(1)])
    first = (workdir / "wandb_id").read_text()
    result = fit(config, workdir, callbacks=[WandbCallback(project="p")])
    assert (workdir / "wandb_id").read_text() == first
    files = sorted(workdir.glob(f"wandb/offline-run-*/run-{first}.wandb"))
    assert len(files) == 2  # one W&B run, written by two processes in turn
    values = {}
    for file in files:
        content = file.read_bytes()
        for match in re.finditer(rb"(?s)(\w+/\w+)\x82\x01(.)(?=[-+.\d])", content):
            # A byte of length precedes the text; what follows it may look like another digit.
            text = content[match.end() : match.end() + match[2][0]]
            values.setdefault(match[1].decode(), set()).add(struct.pack("f", float(text)))
    for name, series in history(rows_of(workdir)).items():
        for step, value in series.items():
            assert struct.pack("f", value) in values[name], (name, step)
    assert struct.pack("f", result["test"]["accuracy"]) in values["test/accuracy"]


def test_mlflow_holds_every_row(config, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    uri, workdir = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "run"

    def tracker():
        return MlflowCallback(experiment="digits", tracking_uri=uri)

    with pytest.raises(Pruned):
        fit(config, workdir, callbacks=[tracker(), StopAt(1)])
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = (workdir / "mlflow_run_id").read_text()
    assert client.get_run(run).info.status == "KILLED"
    fit(config, workdir, callbacks=[tracker()])
    assert (workdir / "mlflow_run_id").read_text() == run
    data = client.get_run(run)
    assert data.info.status == "FINISHED"
    assert data.data.params["optimizer.learning_rate"] == str(config.optimizer.learning_rate)
    assert len(client.search_runs([data.info.experiment_id])) == 1
    for name, series in history(rows_of(workdir)).items():
        logged = {m.step: m.value for m in client.get_metric_history(run, name)}
        assert logged == pytest.approx(series), name


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(UserError, match=r"needs the package wandb.*pip install 'cnnlab\[wandb\]'"):
        WandbCallback(project="p")
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(UserError, match=r"needs the package mlflow-skinny"):
        MlflowCallback()


@pytest.mark.parametrize(
    ("callbacks", "sentence"),
    [
        ({"wandbb": {}}, "Unknown callback 'wandbb'. Did you mean 'wandb'?"),
        ({"wandb": {}}, "The callback 'wandb' needs an option: set callbacks.wandb.project."),
        (
            {"wandb": {"project": "p", "mod": "offline"}},
            "The callback 'wandb' has no option 'mod'. Did you mean 'mode'?",
        ),
    ],
)
def test_a_mistake_in_the_config_leaves_no_run_behind(config, tmp_path, callbacks, sentence):
    with pytest.raises(UserError) as error:
        fit(apply_overrides(config, {"callbacks": callbacks}), tmp_path / "run")
    assert str(error.value).startswith(sentence)
    assert not (tmp_path / "run").exists()


def test_a_config_switches_a_tracker_on_and_off(config, tmp_path):
    """A run that was started without one may get one on its way; its numbers are the same."""
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracked = apply_overrides(config, {"callbacks.mlflow.tracking_uri": uri})
    plain = fit(config, tmp_path / "plain")
    with pytest.raises(Pruned):
        fit(config, tmp_path / "run", callbacks=[StopAt(1)])
    assert not (tmp_path / "run" / "mlflow_run_id").exists()
    result = fit(tracked, tmp_path / "run")
    assert (tmp_path / "run" / "mlflow_run_id").exists()
    assert result["test"] == plain["test"]
