"""A newcomer's own file in every command, each in a new process, outside of the repository."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnlab

ROOT = Path(cnnlab.__file__).parent.parent
EXPERIMENT = Path(__file__).with_name("my_experiment.py")
LONG = ("--config.epochs=none", "--config.steps=300", "--config.checkpoint.every_steps=5",
        "--config.log_every_steps=20")  # fmt: skip


def command(*arguments):
    return [sys.executable, str(ROOT / "launch.py"), *arguments]


def environment(folder):
    cache = folder.parent / "xla"
    return {**os.environ, "PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": str(cache)}


def launch(folder, *arguments, status=0):
    """What a command prints, in a new process in that folder."""
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def train_until(folder, *arguments, step, seconds=240.0):
    """Starts a training, and kills it once it has a checkpoint of that step or a later one."""
    process = subprocess.Popen(
        command("train", *arguments), cwd=folder, env=environment(folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    checkpoints = folder / "runs" / "killed" / "checkpoints"
    began = time.monotonic()
    while time.monotonic() - began < seconds and process.poll() is None:
        steps = [int(p.name) for p in checkpoints.glob("*") if p.name.isdigit()]
        if max(steps, default=0) >= step:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read()
    assert not (folder / "runs" / "killed" / "result.json").exists()


@pytest.fixture
def folder(tmp_path):
    home = tmp_path / "elsewhere"
    home.mkdir()
    shutil.copy(EXPERIMENT, home / "my_experiment.py")
    return home


@pytest.mark.slow
def test_every_command_knows_the_names_of_my_experiment(folder):
    start = ("--config=my_experiment.py", "--workdir=runs/killed", *LONG)
    train_until(folder, *start, step=10)
    launch(folder, "train", "--workdir=runs/killed")
    result = json.loads((folder / "runs/killed/result.json").read_text())
    assert result["steps"] == 300
    assert "worst_recall" in result["test"]
    recorded = json.loads((folder / "runs/killed/config.json").read_text())["plugins"]
    assert [text.partition("#")[0] for text in recorded] == [str(folder / "my_experiment.py")]

    run = "--workdir=runs/killed"
    numbers = json.loads(launch(folder, "eval", run, "--json").splitlines()[-1])
    assert numbers["worst_recall"] == result["test"]["worst_recall"]
    stripes = (120 * (np.indices((12, 12))[1] % 2)).astype(np.uint8)
    Image.fromarray(stripes).save(folder / "columns.png")
    answer = json.loads(launch(folder, "predict", run, "columns.png", "--json").splitlines()[-1])
    assert answer["predictions"][0]["top"][0]["class"] == "columns"
    launch(folder, "analyze", "grad_cam", run)
    assert (folder / "runs/killed/analysis/grad_cam.png").is_file()
    launch(folder, "report", "runs/killed")
    assert "tinynet" in (folder / "report.html").read_text()
    launch(folder, "export", run, "--format=stablehlo", "--out=tinynet.stablehlo")
    assert (folder / "tinynet.stablehlo").stat().st_size > 0
    assert "tinynet" in launch(folder, "list", "models", "--plugins=my_experiment.py")
    launch(
        folder, "sweep", "--config=my_experiment.py", "--study=study", "--workers=2",
        "--sampler=grid",
    )  # fmt: skip
    status = json.loads(launch(folder, "sweep", "--study=study", "--status", "--json"))
    assert status["counts"]["complete"] == 2
    assert status["metric"] == "worst_recall"


@pytest.mark.slow
def test_a_run_of_my_experiment_killed_at_random_is_bit_for_bit_the_unbroken_one(folder):
    start = ("--config=my_experiment.py", *LONG)
    launch(folder, "train", *start, "--workdir=runs/whole")
    rng = random.Random(0)
    for step in sorted(rng.sample(range(5, 200), 3)):
        train_until(folder, *start, "--workdir=runs/killed", step=step)
    launch(folder, "train", "--workdir=runs/killed")
    code = """
import sys, jax, numpy as np
from cnnlab.inference import load_run
one, other = (load_run(path, "latest").variables for path in sys.argv[1:])
for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "runs/whole", "runs/killed"],
        cwd=folder, env=environment(folder), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    whole, killed = (json.loads((folder / f"runs/{name}/result.json").read_text())["test"]
                     for name in ("whole", "killed"))  # fmt: skip
    assert whole == killed
