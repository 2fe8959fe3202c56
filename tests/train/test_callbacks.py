"""Callbacks receive every event of a run, can stop it, and keep their state over kills."""

import json

import numpy as np
import optax
import pytest

from cnnlab.config import apply_overrides
from cnnlab.data import ArraySource, Dataset, DatasetInfo
from cnnlab.models import create_model
from cnnlab.train import Callback, CompiledSteps, Pruned, Stop, fit, load_data
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.callbacks.progress import Silence
from cnnlab.train.runtime.signals import Interrupted
from cnnlab.train.runtime.workdir import Workdir
from tests.train.test_loop import Quiet, assert_same_run, terminate


class Recorder(Callback):
    """Notes each event."""

    def __init__(self):
        self.events = []

    def on_start(self, run):
        self.events.append(("start", run.step, run.total_steps, run.metric, run.mode))

    def on_log(self, run, row):
        assert row["split"] == "train"
        self.events.append(("log", row["step"]))

    def on_evaluation(self, run, row):
        assert row["split"] == run.split == "validation"
        assert run.best_metric >= row["accuracy"]
        assert set(run.variables()) == {"params"}
        self.events.append(("evaluation", row["step"]))

    def on_checkpoint(self, run, step):
        self.events.append(("checkpoint", step))

    def on_test(self, run, row):
        assert row["split"] == "test"
        assert not (run.workdir / "result.json").exists()
        self.events.append(("test", row["step"]))

    def on_end(self, run, result):
        assert (run.workdir / "result.json").exists() == (result is not None)
        self.events.append(("end", result and result["steps"]))


class Once(Callback):
    """Returns an answer at one event and step."""

    def __init__(self, event, step, answer):
        def answered(run, row):
            return answer if row["step"] == step else None

        setattr(self, f"on_{event}", answered)


def test_events_come_in_order(tiny_config, tmp_path):
    config = apply_overrides(tiny_config, {"log_every_steps": 10, "evaluation.every_epochs": 0.25})
    recorder = Recorder()
    fit(config, tmp_path, callbacks=[Silence(), recorder])
    assert recorder.events == [
        ("start", 0, 20, "accuracy", "max"),
        *[("log", step) for step in (2, 4, 6, 8, 10)],  # ten rows, whatever is asked for
        ("evaluation", 10),
        ("checkpoint", 10),
        *[("log", step) for step in (12, 14, 16, 18, 20)],
        ("evaluation", 20),
        ("checkpoint", 20),
        ("test", 20),
        ("end", 20),
    ]
    assert fit(config, tmp_path, callbacks=[Silence(), recorder])["steps"] == 20
    assert len(recorder.events) == 17  # nothing was left to train


class Killed(BaseException):
    """As SIGKILL at one moment: nothing handles it."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_killed_beside_its_result_has_the_row_of_it(
    tiny_config, tmp_path, monkeypatch, moment
):
    write = Workdir.write

    def write_and_die(self, name, value):
        if name == "result.json" and moment == "before":
            raise Killed
        write(self, name, value)
        if name == "result.json":
            raise Killed

    monkeypatch.setattr(Workdir, "write", write_and_die)
    with pytest.raises(Killed):
        fit(tiny_config, tmp_path, callbacks=[Silence()])
    monkeypatch.undo()
    result = fit(tiny_config, tmp_path, callbacks=[Silence()])
    (row,) = [row for row in read_rows(tmp_path / "metrics.jsonl") if row["split"] == "test"]
    assert row == {"step": 20, "epoch": row["epoch"], "split": "test"} | result["test"]


@pytest.mark.parametrize("event", ["log", "evaluation"])
def test_stop_finishes_the_run(tiny_config, tmp_path, event):
    config = apply_overrides(tiny_config, {"evaluation.every_epochs": 0.25})
    display = Quiet()
    stop = Once(event, 10, Stop("Enough is enough."))
    result = fit(config, tmp_path, callbacks=[display, stop])
    assert result["steps"] == 10
    assert "Enough is enough." in display.notes
    assert json.loads((tmp_path / "result.json").read_text()) == result
    # Complete: the same call trains nothing more, also without the callback.
    assert fit(config, tmp_path, callbacks=[Silence()]) == result


def test_stop_between_checkpoints_saves(tiny_config, tmp_path):
    stop = Once("log", 4, Stop("Not worth it.", finish=False))
    with pytest.raises(Pruned, match=r"Not worth it. Stopped at step 4") as pruned:
        fit(tiny_config, tmp_path / "run", callbacks=[Silence(), stop])
    assert pruned.value.step == 4
    display = Quiet()
    fit(tiny_config, tmp_path / "run", callbacks=[display])
    assert "Resuming at step 4 of 20." in display.notes
    fit(tiny_config, tmp_path / "whole", callbacks=[Silence()])
    assert_same_run(tiny_config, tmp_path / "whole", tmp_path / "run")


def test_state_survives_an_interruption(tiny_config, tmp_path):
    class Counter(Callback):
        count = 0

        def on_log(self, run, row):
            self.count += 1

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    with pytest.raises(Interrupted):
        fit(tiny_config, tmp_path, callbacks=[Quiet(10, terminate), Counter()])
    counter = Counter()
    fit(tiny_config, tmp_path, callbacks=[Silence(), counter])
    assert counter.count == 10


def test_lines_are_printed_unless_a_display_is_given(tiny_config, tmp_path, capsys):
    fit(tiny_config, tmp_path / "a", callbacks=[Recorder()])
    assert "step 20/20" in capsys.readouterr().out
    fit(tiny_config, tmp_path / "b", callbacks=[Silence(), Recorder()])
    assert capsys.readouterr().out == ""


def test_objects_are_trained(tiny_config, tmp_path):
    """A data set of arrays, a plain optimizer and a plain augmentation."""
    rng = np.random.default_rng(0)
    splits = {
        name: ArraySource(rng.integers(0, 256, (n, 8, 8, 1), np.uint8), rng.integers(0, 3, n))
        for name, n in (("train", 64), ("validation", 16), ("test", 16))
    }
    sizes = {name: len(source) for name, source in splits.items()}
    info = DatasetInfo("mine", tuple("abc"), (8, 8, 1), sizes, (0.5,), (0.3,))
    result = fit(
        tiny_config,
        tmp_path,
        model=create_model("mlp", num_classes=3, hidden=(4,)),
        dataset=Dataset(info, splits),
        tx=optax.adam(1e-3),
        augment=lambda key, batch: {**batch, "image": batch["image"].astype(np.float32) / 255.0},
        callbacks=[Silence()],
    )
    assert result["num_parameters"] == 64 * 4 + 4 + 4 * 3 + 3
    assert result["steps"] == 20
    rows = read_rows(Workdir(tmp_path).metrics)
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_a_run_with_steps_fused_ends_on_a_shorter_call(tiny_config, tmp_path):
    config = apply_overrides(tiny_config, {"steps": 6, "steps_per_call": 5})
    assert CompiledSteps(config, load_data(config)).steps_per_call == 5
    fit(config, tmp_path / "fused", callbacks=[Silence()])
    assert Workdir(tmp_path / "fused").result()["steps"] == 6
