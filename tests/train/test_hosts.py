"""Several processes that train together compute what one does, and end together."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from cnnlab.cli.main import main
from cnnlab.config import apply_overrides, to_json
from cnnlab.data.sources import digits
from cnnlab.train import fit
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.runtime import hosts
from cnnlab.train.runtime.devices import make_parallel
from cnnlab.train.runtime.workdir import Workdir
from tests.train.test_loop import Quiet

ROOT = Path(__file__).parents[2]
# The command line, with the option to stream data as if they were too large for the memory.
_PROGRAM = """
import sys
from cnnlab.cli.main import run
if sys.argv[1] == "stream":
    import cnnlab.data.cache
    cnnlab.data.cache.MAX_BYTES = 0
sys.argv = ["launch.py", *sys.argv[2:]]
run()
"""


class Together:
    """`count` processes with four devices in all."""

    def __init__(self, count, *arguments, each=lambda index: (), how="memory"):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        environment = os.environ | {
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={4 // count}",
            "PYTHONUNBUFFERED": "1",
        }
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, how, "train", "--distributed",
                 f"--coordinator=localhost:{port}", f"--num_processes={count}",
                 f"--process_index={index}", *arguments, *each(index)],
                cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True,
            )
            for index in range(count)
        ]  # fmt: skip

    def wait_for(self, pattern):
        """Until the first process prints a line that matches."""
        lines = []
        for line in self.processes[0].stdout:
            lines.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError("".join(lines) + self.processes[0].stderr.read())

    def signal(self, index, signum):
        self.processes[index].send_signal(signum)

    def end(self):
        """(exit status, standard error) of each."""
        errors = [process.communicate(timeout=120)[1] for process in self.processes]
        return [
            (process.returncode, error)
            for process, error in zip(self.processes, errors, strict=True)
        ]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A few of the digits as a folder of images."""
    folder = tmp_path_factory.mktemp("images")
    for split, source in digits.load_splits(8).items():
        for number, (image, label) in enumerate(zip(source.images, source.labels, strict=True)):
            if number < 240:
                path = folder / split / str(label) / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[..., 0]).save(path)
    return folder


@pytest.fixture
def config(tiny_config, images):
    return apply_overrides(
        tiny_config,
        {
            "data.name": f"folder:{images}",
            "steps": 400,
            "log_every_steps": 20,
            "checkpoint.every_steps": 20,
            "evaluation.every_epochs": 10.0,
            "optimizer.learning_rate": 0.01,
            "augment.pad_crop": 1,
            "augment.mixup_alpha": 0.2,
            "num_devices": 4,
            "model.options.hidden": (64,),
        },
    )


@pytest.mark.slow
def test_hosts_come_and_go_and_the_run_stays_the_same(config, tmp_path):
    """Four hosts until one is killed, two until one is told to stop, one to the end."""
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    parts = tmp_path / "parts"
    saved = tmp_path / "config.json"
    Workdir(tmp_path).write("config.json", to_json(config))

    four = Together(4, f"--config={saved}", f"--workdir={parts}")
    four.wait_for(r"step 60/")
    four.signal(2, signal.SIGKILL)
    for index, (status, error) in enumerate(four.end()):
        if index != 2:
            assert status not in (0, -signal.SIGKILL)
            assert re.fullmatch(r"error: Another host was lost; .*\n", error)

    # From here on each host holds, writes and reads halves of the largest arrays.
    cut = "--config.sharding.parameters=2"
    two = Together(2, f"--workdir={parts}", cut, how="stream")
    two.wait_for(r"Resuming at step [4-9]0 of 400")
    two.wait_for(r"step \d+/")
    two.signal(1, signal.SIGTERM)
    told, quiet = two.end()
    assert (told[0], quiet) == (143, (143, ""))
    written = {
        path.parent.parent.name
        for path in (parts / "checkpoints").glob("*/ocdbt.process_*/d/*")
        if path.stat().st_size
    }
    assert written == {"ocdbt.process_0", "ocdbt.process_1"}
    stopped = int(re.search(r"Stopped by SIGTERM at step (\d+); everything", told[1])[1])

    display = Quiet()
    result = fit(config, parts, callbacks=[display])
    assert f"Resuming at step {stopped} of 400." in display.notes
    starts = Workdir(parts).starts()
    assert [start["processes"] for start in starts] == [4, 2, 1]
    ours, theirs = (read_rows(Workdir(folder).metrics) for folder in (parts, tmp_path / "whole"))
    assert [(row["step"], row["split"]) for row in ours] == [
        (row["step"], row["split"]) for row in theirs
    ]
    for one, other in zip(ours, theirs, strict=True):
        for name in ("loss", "accuracy", "grad_norm"):
            if name in one:
                np.testing.assert_allclose(one[name], other[name], rtol=1e-3, err_msg=str(other))
    assert result["test"]["loss"] == pytest.approx(
        Workdir(tmp_path / "whole").result()["test"]["loss"], rel=1e-3
    )


@pytest.mark.slow
def test_the_others_end_where_the_first_host_is_killed(config, tmp_path):
    Workdir(tmp_path).write("config.json", to_json(config))
    two = Together(2, f"--config={tmp_path}/config.json", f"--workdir={tmp_path}/run")
    two.wait_for(r"step 20/")
    two.signal(0, signal.SIGKILL)
    _, (status, error) = two.end()
    assert status not in (0, -signal.SIGKILL)
    assert re.fullmatch(r"error: Another host was lost; .*\n", error)


@pytest.mark.slow
def test_hosts_with_different_flags_are_told(config, tmp_path):
    Workdir(tmp_path).write("config.json", to_json(config))
    two = Together(
        2,
        f"--config={tmp_path}/config.json",
        f"--workdir={tmp_path}/run",
        each=lambda index: [f"--config.seed={index}"],
    )
    (first, told), (second, shown) = two.end()
    assert (first, second) == (1, 1)
    assert "Host 1 has another experiment" in told
    assert "seed: 0 -> 1" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--num_processes=2"], "--num_processes is for several hosts: add --distributed."),
        (["--distributed", "--coordinator=here"], "--coordinator=here must be HOST:PORT"),
        (["--distributed", "--num_processes=0"], "--num_processes=0 must be at least 1"),
        (
            ["--distributed", "--num_processes=2", "--process_index=2"],
            "--process_index=2 must be from 0 to 1: processes count from 0.",
        ),
    ],
)
def test_wrong_flags_are_one_sentence(flags, sentence, capsys):
    assert main(["launch.py", "train", *flags]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and sentence in error and error.count("\n") == 1


def test_no_hosts_in_the_environment_is_one_sentence():
    program = "from cnnlab.train.runtime import hosts; hosts.join()"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert "UserError: The hosts could not be found in the environment" in ended.stderr


def test_what_several_hosts_cannot_do(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(hosts.UserError, match="parallel=pmap is for a single host"):
        make_parallel("pmap")
    with pytest.raises(hosts.UserError, match="num_devices=4 is for a single host"):
        make_parallel("jit", 4)
