"""Items made ahead in worker processes, and how those end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.stream import stream
from cnnlab.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent

# launch.py, for which every set is too large to be held in memory.
LAUNCH = """
import importlib
import sys
from cnnlab.cli.main import run
if __name__ == "__main__":
    importlib.import_module("cnnlab.data.cache").MAX_BYTES = 0
    sys.argv = ["launch.py", *sys.argv[1:]]
    run()
"""


def test_an_iterator_that_is_dropped_ends_its_processes():
    """Also where most of what it would yield has not been asked for."""
    items = stream(lambda number: (number, os.getpid()), 10**9, 1)
    (first, worker), (second, _) = next(items), next(items)
    assert (first, second) == (0, 1) and worker != os.getpid()
    items.close()
    assert not alive(worker)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_is_raised_keeps_its_kind(num_workers):
    def make(number):
        if number == 3:
            raise UserError("'a.jpg' cannot be read.")
        return number

    items = stream(make, 10, num_workers)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError) as caught:
        next(items)
    assert str(caught.value) == "'a.jpg' cannot be read."


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie, which only waits for its parent to hear of its end, is not.
    return not Path(f"/proc/{pid}/stat").read_text().split(") ")[-1].startswith("Z")


def children(pid):
    """Processes started by a process, and by those."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().split(") ")[-1].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            found += [int(path.parent.name), *children(int(path.parent.name))]
    return found


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for number in range(20):
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "images"


def start(tmp_path, images, *options):
    """Trains a small network with one worker process, until something happens to it."""
    script = tmp_path / "streaming.py"
    script.write_text(LAUNCH)
    command = [
        sys.executable, script, "train", "--config=mlp_digits", f"--workdir={tmp_path / 'run'}",
        f"--config.data.name=folder:{images}", "--config.data.num_workers=1",
        "--config.batch_size=8", "--config.log_every_steps=1", *options,
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # as a terminal gives its programs one
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def wait_for_steps(tmp_path, process):
    metrics = tmp_path / "run" / "metrics.jsonl"
    for _ in range(1200):
        if metrics.exists() and len(metrics.read_text().splitlines()) > 3:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("no steps in two minutes")


def wait_for_the_end(pids):
    deadline = time.monotonic() + 30
    while [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize(
    "signum", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_a_signal_to_all_processes_ends_a_run_that_goes_on_later(tmp_path, images, signum):
    process = start(tmp_path, images, "--config.epochs=100000.0")
    wait_for_steps(tmp_path, process)
    workers = children(process.pid)
    os.killpg(process.pid, signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    words = [line for line in errors.splitlines() if line.strip()]
    assert len(words) == 1 and "everything up to it is saved" in words[0], errors
    assert workers
    wait_for_the_end(workers)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_workers_end_with_a_run_that_is_killed(tmp_path, images):
    process = start(tmp_path, images, "--config.epochs=100000.0")
    wait_for_steps(tmp_path, process)
    workers = children(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    assert workers
    wait_for_the_end(workers)
