"""Runs on disks that are full or read-only, seen from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlab.config import apply_overrides, to_json
from cnnlab.errors import UserError
from cnnlab.train import fit
from cnnlab.train.checkpoints.writer import CheckpointReader, CheckpointWriter
from tests.train.conftest import fill
from tests.train.test_loop import Quiet, assert_same_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def asked(tiny_config, tmp_path):
    """The file of a config, with checkpoints of 0.4 MB at every fifth step."""
    config = apply_overrides(
        tiny_config, {"model.options.hidden": (700,), "checkpoint.every_steps": 5}
    )
    path = tmp_path / "asked.json"
    path.write_text(json.dumps(to_json(config)))
    return path


def train(asked, workdir):
    command = [sys.executable, "launch.py", "train", f"--config={asked}", f"--workdir={workdir}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_full_disk_stops_the_run_with_one_sentence_and_it_goes_on_once_there_is_room(
    small_disk, asked
):
    workdir = small_disk / "run"
    fill(small_disk, leaving=600_000)  # room for one checkpoint
    ended = train(asked, workdir)
    assert ended.returncode == 1
    assert "could not be saved in" in ended.stderr and "no space left" in ended.stderr
    assert f"{workdir}" in ended.stderr and "MB free of about" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == 1
    (kept,) = CheckpointReader(workdir, report=pytest.fail).steps()
    (small_disk / "ballast").unlink()
    ended = train(asked, workdir)
    assert ended.returncode == 0, ended.stderr
    assert f"Resuming at step {kept} of 20." in ended.stdout
    assert (workdir / "result.json").is_file()


def test_a_disk_that_fills_up_during_a_save(small_disk, tiny_config, tmp_path, monkeypatch):
    """One sentence and nothing on the console beside it; the run resumes from what was saved."""
    config = apply_overrides(
        tiny_config, {"model.options.hidden": (700,), "checkpoint.every_steps": 5}
    )
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    tracebacks = []
    with monkeypatch.context() as patch:
        patch.setattr(sys, "unraisablehook", tracebacks.append)
        # As if another program had filled the disk once the save had begun.
        patch.setattr(CheckpointWriter, "_check_space", lambda writer: None)
        fill(small_disk, leaving=600_000)  # room for one checkpoint
        with pytest.raises(UserError, match=r"could not be saved in .*: no space left"):
            fit(config, small_disk / "run", callbacks=[Quiet()])
    assert tracebacks == []
    reader = CheckpointReader(small_disk / "run", report=pytest.fail)
    (kept,) = reader.steps()
    reader.verify(kept)
    (small_disk / "ballast").unlink()
    display = Quiet()
    fit(config, small_disk / "run", callbacks=[display])
    assert f"Resuming at step {kept} of 20." in display.notes
    assert_same_run(config, tmp_path / "whole", small_disk / "run")


def test_a_disk_too_full_for_the_config_names_the_run(small_disk, asked):
    (small_disk / "run").mkdir()
    fill(small_disk, leaving=4096)  # for the lock
    ended = train(asked, small_disk / "run")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {small_disk}/run")
    assert f"No space left on device (0 MiB free on the disk of {small_disk}/run" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_workdir_that_is_not_writable(small_disk, tiny_config):
    (small_disk / "run").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(UserError, match=r"^workdir=.*/run is not writable"):
        fit(tiny_config, small_disk / "run")
    with pytest.raises(
        UserError, match=r"^workdir=.*/new cannot be created: Read-only file system"
    ):
        fit(tiny_config, small_disk / "new")
