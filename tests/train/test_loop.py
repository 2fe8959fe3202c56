"""The loop: resuming equals the unbroken run bit for bit, devices agree, mistakes stop it."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from cnnlab.config import apply_overrides, to_json
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.train import Diverged, Interrupted, fit
from cnnlab.train.callbacks.json_lines import CLOCKED, read_rows
from cnnlab.train.callbacks.progress import PlainDisplay
from cnnlab.train.checkpoints.writer import CheckpointReader
from cnnlab.train.experiment import build_experiment
from cnnlab.train.run_data import load_data
from cnnlab.train.runtime.workdir import Workdir
from tests.conftest import assert_trees_equal

ROOT = Path(__file__).parents[2]


class Quiet(PlainDisplay):
    """Keeps notes, prints nothing, and calls `action` after the log at step `at`."""

    def __init__(self, at=None, action=None):
        super().__init__()
        self.notes, self.steps, self._at, self._action = [], [], at, action

    def note(self, text):
        self.notes.append(text)

    def on_log(self, run, row):
        self.steps.append(row["step"])
        if row["step"] == self._at:
            self._action()

    def on_evaluation(self, run, row):
        pass


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def final_state(config, workdir):
    """Everything that the last checkpoint holds."""
    experiment = build_experiment(config, Workdir(workdir).dataset_info())
    target = {"state": experiment.abstract_state(), "metrics": experiment.zero_metrics()}
    return CheckpointReader(workdir).restore(target)


def rows(workdir):
    """All numbers that do not depend on the clock."""
    return [
        {name: value for name, value in row.items() if name not in CLOCKED}
        for row in read_rows(Workdir(workdir).metrics)
    ]


def assert_same_run(config, one, other):
    first, second = final_state(config, one), final_state(config, other)
    assert first.step == second.step
    assert_trees_equal(first.state, second.state)
    assert rows(one) == rows(other)
    results = [Workdir(folder).result() for folder in (one, other)]
    assert results[0]["test"] == results[1]["test"]


@pytest.fixture
def lively_config(tiny_config):
    """With all that a resumed run could get wrong: augmentation, dropout, momentum, average."""
    return apply_overrides(
        tiny_config,
        {
            "augment.pad_crop": 1,
            "augment.mixup_alpha": 0.2,
            "optimizer.ema_decay": 0.9,
            "evaluation.every_epochs": 0.17,  # every 7 steps
            "log_every_steps": 4,
        },
    )


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return tmp_path_factory.mktemp("pristine") / "run"


@pytest.fixture
def complete(tiny_config, pristine, tmp_path):
    """The folder of a complete run of `tiny_config`, which is trained once."""
    if not pristine.exists():
        fit(tiny_config, pristine, callbacks=[Quiet()])
    return shutil.copytree(pristine, tmp_path / "complete")


def test_resume_equals_the_unbroken_run(lively_config, tmp_path):
    fit(lively_config, tmp_path / "whole", callbacks=[Quiet()])
    for at in (4, 12):
        with pytest.raises(Interrupted) as stopped:
            fit(lively_config, tmp_path / "parts", callbacks=[Quiet(at, terminate)])
        assert stopped.value.step == at + 1  # the signal comes after the step of the log
        assert stopped.value.signum == signal.SIGTERM
    display = Quiet()
    fit(lively_config, tmp_path / "parts", callbacks=[display])
    assert "Resuming at step 13 of 20." in display.notes
    assert_same_run(lively_config, tmp_path / "whole", tmp_path / "parts")


def test_resume_between_logs_keeps_the_sums(lively_config, tmp_path):
    """A checkpoint between two logs holds the metric sums of the steps before it."""
    config = apply_overrides(lively_config, {"checkpoint.every_steps": 3, "log_every_steps": 10})
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    with pytest.raises(RuntimeError, match="as if killed"):
        fit(config, tmp_path / "parts", callbacks=[Quiet(10, lambda: _raise("as if killed"))])
    fit(config, tmp_path / "parts", callbacks=[Quiet()])
    assert_same_run(config, tmp_path / "whole", tmp_path / "parts")


def _raise(text):
    raise RuntimeError(text)


@pytest.mark.exhaustive
def test_kill_nine_at_random_moments(lively_config, tmp_path):
    """A real loop of kills, some of them in the middle of a save, loses no bit."""
    config = apply_overrides(
        lively_config,
        {"steps": 400, "checkpoint.every_steps": 5, "evaluation.every_epochs": 20.0,
         "log_every_steps": 100, "optimizer.learning_rate": 0.01},
    )  # fmt: skip
    saved = tmp_path / "asked.json"
    saved.write_text(json.dumps(to_json(config)))

    def start(workdir):
        command = [sys.executable, "launch.py", "train", f"--config={saved}",
                   f"--workdir={workdir}"]  # fmt: skip
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait(timeout=300) == 0
    dice = random.Random(0)
    kills, reached = 0, []
    while kills < 6:
        process = start(tmp_path / "parts")
        checkpoints = tmp_path / "parts" / "checkpoints"
        deadline = time.monotonic() + 120
        before = latest(checkpoints)
        # Killed only once it has saved something of its own, so that every round advances.
        while latest(checkpoints) <= before and time.monotonic() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.005)
        time.sleep(dice.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
        reached.append(latest(checkpoints))
    assert kills >= 3, reached
    assert reached == sorted(set(reached))
    assert start(tmp_path / "parts").wait(timeout=300) == 0
    assert_same_run(config, tmp_path / "whole", tmp_path / "parts")


def latest(checkpoints):
    if not checkpoints.is_dir():
        return -1
    return max((int(p.name) for p in checkpoints.iterdir() if p.name.isdigit()), default=-1)


def test_interrupt_of_the_program(tiny_config, tmp_path):
    """SIGTERM of a training process: it saves, says so, and exits with 143."""
    config = apply_overrides(tiny_config, {"steps": 200_000, "log_every_steps": 50})
    saved = tmp_path / "asked.json"
    saved.write_text(json.dumps(to_json(config)))
    process = subprocess.Popen(
        [sys.executable, "launch.py", "train", f"--config={saved}", f"--workdir={tmp_path}/run"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("step "):
            break
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Stopped by SIGTERM at step" in errors
    assert "Resume with: python launch.py train --workdir=" in errors
    assert CheckpointReader(tmp_path / "run").steps()


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_devices_agree(tiny_config, tmp_path, parallel):
    """1, 2 and 8 virtual devices, jit and pmap: the same losses to float tolerance."""
    config = apply_overrides(
        tiny_config, {"model.options.dropout_rate": 0.0, "log_every_steps": 1, "steps": 6}
    )
    losses = {}
    for devices in (1, 2, 8):
        asked = apply_overrides(config, {"num_devices": devices, "parallel": parallel})
        fit(asked, tmp_path / str(devices), callbacks=[Quiet()])
        losses[devices] = [r["loss"] for r in rows(tmp_path / str(devices)) if "loss" in r]
    reference = tmp_path / "reference"
    fit(config, reference, callbacks=[Quiet()])
    expected = [r["loss"] for r in rows(reference) if "loss" in r]
    assert len(expected) > 6
    for devices, found in losses.items():
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=f"{devices} devices")


def test_batch_statistics_are_global_under_jit(tmp_path, tiny_config):
    """Batch norm sees the whole batch, whatever the number of devices."""
    config = apply_overrides(
        tiny_config,
        {"steps": 2, "log_every_steps": 1, "data.image_size": 8, "model.name": "resnet18"},
    )
    config.model.options = {"stem": "cifar", "width": 4, "stage_sizes": (1,)}
    losses = []
    for devices in (1, 4):
        asked = apply_overrides(config, {"num_devices": devices})
        fit(asked, tmp_path / str(devices), callbacks=[Quiet()])
        losses.append([r["loss"] for r in rows(tmp_path / str(devices)) if "loss" in r])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_resume_on_another_number_of_devices(tiny_config, tmp_path):
    with pytest.raises(Interrupted):
        fit(tiny_config, tmp_path, callbacks=[Quiet(10, terminate)])
    asked = apply_overrides(tiny_config, {"num_devices": 2})
    display = Quiet()
    fit(asked, tmp_path, callbacks=[display])
    assert "Resuming at step 11 of 20." in display.notes
    assert display.steps == [12, 14, 16, 18, 20]


def test_fused_steps_equal_single_ones(tiny_config, complete, tmp_path):
    """Several steps in one call, a last call that is shorter, and logs at its end."""
    fused = apply_overrides(tiny_config, {"steps_per_call": 6})
    display = Quiet()
    fit(fused, tmp_path / "fused", callbacks=[display])
    assert display.steps == [6, 12, 18, 20]
    one = final_state(tiny_config, complete).state["state"]
    other = final_state(tiny_config, tmp_path / "fused").state["state"]
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)


def test_evaluation_is_exact_for_any_batch_size(tiny_config, complete):
    """144 validation digits in batches of 1, 7, 32 and 1000, on 1 and 8 devices."""
    from cnnlab.train import evaluate, make_parallel

    run = load_run(complete, "latest")
    source = load_data(tiny_config).splits["test"]
    probabilities = run.probabilities(source.images)
    expected = (probabilities.argmax(-1) == source.labels).sum()
    for devices, batch_size in ((1, 1), (1, 7), (1, 1000), (8, 32)):
        parallel = make_parallel("jit", devices)
        call = parallel.compile_eval(run.experiment.eval_step())
        sums = evaluate(
            call, parallel.replicate(run.variables), source, parallel, batch_size=batch_size
        )
        assert sums["count"] == len(source)
        assert sums["correct"] == expected
        assert sums["confusion"].sum() == len(source)
        np.testing.assert_array_equal(sums["confusion"].sum(axis=1), np.bincount(source.labels))
        assert call._cache_size() == 1


def test_loss_that_is_not_finite(tiny_config, tmp_path):
    config = apply_overrides(
        tiny_config, {"optimizer.learning_rate": 1e30, "optimizer.options.momentum": 0.0}
    )
    with pytest.raises(Diverged, match=r"not finite at step \d+; training stopped, and there was"):
        fit(config, tmp_path, callbacks=[Quiet()])


def test_divergence_keeps_the_last_good_checkpoint(tiny_config, tmp_path):
    """The rate jumps to the sky after step 10; the checkpoint of step 10 stays."""
    config = apply_overrides(
        tiny_config,
        {"schedule.name": "step", "schedule.step_epochs": (0.25,), "schedule.step_factor": 1e30,
         "checkpoint.every_steps": 5, "evaluation.every_epochs": 100.0},
    )  # fmt: skip
    with pytest.raises(Diverged, match="the last good checkpoint is step 10"):
        fit(config, tmp_path, callbacks=[Quiet()])
    restored = final_state(config, tmp_path)
    assert restored.step == 10
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(restored.state))


def test_early_stopping_and_best_checkpoint(tiny_config, tmp_path):
    """With a rate of nearly nothing no evaluation beats the first, and the run stops."""
    config = apply_overrides(
        tiny_config,
        {"optimizer.learning_rate": 1e-12, "evaluation.early_stopping_patience": 2,
         "evaluation.every_epochs": 0.1},
    )  # fmt: skip
    display = Quiet()
    result = fit(config, tmp_path, callbacks=[display])
    assert result["steps"] == 12  # evaluations at 4, 8 and 12
    assert result["checkpoint_step"] == 12  # of equally good ones, the latest
    assert any("stopping early" in note for note in display.notes)
    assert load_run(tmp_path, "best").step == 12
    again = Quiet()
    assert fit(config, tmp_path, callbacks=[again]) == result
    assert again.steps == []


def test_complete_run_is_not_trained_again(tiny_config, complete):
    result = Workdir(complete).result()
    display = Quiet()
    assert fit(tiny_config, complete, callbacks=[display]) == result
    assert display.steps == []
    assert any("nothing is left to train" in note for note in display.notes)


def test_contradicting_config_stops(tiny_config, complete):
    asked = apply_overrides(tiny_config, {"seed": 5, "optimizer.learning_rate": 0.2})
    with pytest.raises(UserError) as error:
        fit(asked, complete, callbacks=[Quiet()])
    assert "optimizer.learning_rate: 0.1 -> 0.2" in str(error.value)
    assert "seed: 0 -> 5" in str(error.value)


def test_run_folder(complete):
    """The folder holds what `cnnlab.train.runtime.workdir` says."""
    names = {path.name for path in complete.iterdir()}
    assert names >= {"config.json", "dataset.json", "environment.json", "metrics.jsonl"}
    assert names >= {"result.json", "checkpoints", "tensorboard", "confusion_matrix.npy"}
    environment = json.loads((complete / "environment.json").read_text())[0]
    assert environment["versions"]["jax"] == jax.__version__
    train = [row for row in rows(complete) if row["split"] == "train"]
    assert [row["step"] for row in train] == list(range(2, 21, 2))
    assert {"loss", "accuracy", "grad_norm", "param_norm", "learning_rate"} <= set(train[0])
    (events,) = (complete / "tensorboard").glob("events*")
    told = scalars(events)
    for row in rows(complete):
        for name in ("loss", "accuracy"):
            assert told[f"{row['split']}/{name}", row["step"]] == pytest.approx(row[name])


def scalars(path):
    """Scalars of a TensorBoard file by (tag, step), read as its format says: framed protobufs."""
    data, found = path.read_bytes(), {}
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
        data = data[12 + length + 4 :]
    return found


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"batch_size": 30, "num_devices": 4}, "batch_size=30 cannot be divided evenly"),
        ({"num_devices": 99}, "num_devices=99, but only 8"),
        ({"evaluation.metric": "acuracy"}, "Did you mean 'accuracy'"),
        ({"model.name": "resnet18", "model.options": {}}, "smallest size is 33x33"),
        ({"model.options.dropout_rate": "much"}, "dropout_rate='much' is not a number"),
        ({"model.options.hidden": "wide"}, "hidden='wide' is not a list of whole numbers"),
        (
            {"optimizer.options.momentum": (1,), "optimizer.name": "sgd"},
            r"momentum=\(1,\) is not a n",
        ),
        ({"optimizer.options.nesterov": "x"}, "nesterov='x' is not true or false"),
        ({"data.name": "digit"}, "Unknown data set 'digit'.*Did you mean 'digits'"),
    ],
)
def test_mistakes_leave_no_run_behind(tiny_config, tmp_path, overrides, sentence):
    config = apply_overrides(tiny_config, overrides)
    with pytest.raises(UserError, match=sentence):
        fit(config, tmp_path / "run", callbacks=[Quiet()])
    assert not (tmp_path / "run").exists()


def test_workdir_that_is_a_file(tiny_config, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="is a file, and must be a folder"):
        fit(tiny_config, tmp_path / "run", callbacks=[Quiet()])
