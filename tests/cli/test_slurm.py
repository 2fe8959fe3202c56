"""`train --launcher=slurm`: a run as a job, in submitit's local processes and in Slurm itself."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from cnnlab.cli.commands.train import submit_run
from cnnlab.cli.main import main
from cnnlab.config import apply_overrides, to_json
from cnnlab.errors import UserError
from cnnlab.train import fit
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.runtime.workdir import Workdir
from tests.train.test_loop import Quiet

pytest.importorskip("submitit", reason="pip install 'cnnlab[slurm]'")


@pytest.fixture
def config(tiny_config):
    """Long enough to be stopped on the way."""
    return apply_overrides(
        tiny_config,
        {
            "steps": 1000,
            "log_every_steps": 20,
            "evaluation.every_epochs": 100.0,
            "checkpoint.every_steps": 1000,
        },
    )


def wait_for(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_rows(workdir, count=2):
    return workdir.metrics.exists() and len(workdir.metrics.read_text().splitlines()) >= count


def numbers(workdir):
    """What does not depend on the time that it took."""
    names = ("step", "split", "loss", "accuracy", "grad_norm")
    return [[row.get(name) for name in names] for row in read_rows(workdir.metrics)]


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_job_near_its_time_limit_saves_and_goes_on(config, tmp_path):
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    workdir = Workdir(tmp_path / "run")
    (job,) = submit_run(config, workdir.path, options=["timeout_min=5"], cluster="local")
    wait_for(lambda: has_rows(workdir))
    (task,) = children(job)
    os.kill(task, signal.SIGUSR2)
    wait_for(lambda: workdir.result())
    assert numbers(workdir) == numbers(Workdir(tmp_path / "whole"))
    starts = workdir.starts()
    assert [start["command"][:2] for start in starts] == [["launch.py", "train"]] * 2
    printed = (workdir.path / "logs" / f"{job}_0_log.out").read_text()
    assert re.search(r"Resuming at step (\d+) of 1000", printed)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A cluster of one node with two processors: this machine."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    if os.geteuid() or not all(shutil.which(name, path=path) for name in ("slurmctld", "slurmd")):
        pytest.skip("needs Slurm and root: apt-get install slurmctld slurmd slurm-client")
    monkeypatch.setenv("PATH", path)
    folder = tmp_path / "slurm"
    ports = []
    for part in ("ctld", "d"):
        (folder / part).mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    node = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(f"""
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/d
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
NodeName={node} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
""")
    monkeypatch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
    daemons = []
    try:
        for name in ("slurmctld", "slurmd"):
            log = (folder / f"{name}.log").open("w")
            command = [name, "-D", "-f", f"{folder}/slurm.conf"]
            daemons.append(subprocess.Popen(command, stdout=log, stderr=log))
        wait_for(lambda: "idle" in ask("sinfo"), seconds=30)
        yield
    finally:
        subprocess.run(["scancel", "--me"], check=False)
        wait_for(lambda: not ask("squeue", "--noheader"), seconds=60)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)


def ask(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.slow
def test_tasks_of_a_slurm_job_train_together(slurm, config, tmp_path, monkeypatch, capsys):
    """From the command line; Slurm tells the job that it will end, and it is queued again."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=1")
    config = apply_overrides(config, {"num_devices": None})
    fit(apply_overrides(config, {"num_devices": 1}), tmp_path / "whole", callbacks=[Quiet()])
    Workdir(tmp_path).write("config.json", to_json(config))
    workdir = Workdir(tmp_path / "run")
    flags = [f"--config={tmp_path}/config.json", f"--workdir={workdir.path}", "--launcher=slurm",
             "--slurm=tasks_per_node=2", "--slurm=timeout_min=10"]  # fmt: skip
    assert main(["launch.py", "train", *flags]) == 0
    job = re.search(r"submitted: (\d+)", capsys.readouterr().out)[1]
    wait_for(lambda: has_rows(workdir))
    ask("scancel", "--signal=USR2", job)
    wait_for(lambda: "PENDING" in ask("scontrol", "show", "job", job))
    ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # Slurm waits two minutes
    wait_for(lambda: workdir.result())
    ours, whole = numbers(workdir), numbers(Workdir(tmp_path / "whole"))
    assert [row[:2] for row in ours] == [row[:2] for row in whole]
    assert ours[-1][2] == pytest.approx(whole[-1][2], rel=1e-2)
    starts = workdir.starts()
    assert [start["processes"] for start in starts] == [2, 2]
    assert starts[0]["command"][-1] == "--distributed"
    printed = (workdir.path / "logs" / f"{job}_0_log.out").read_text()
    assert re.search(r"Resuming at step (\d+) of 1000", printed)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--launcher=pbs"], "--launcher=pbs must be one of local, slurm"),
        (["--slurm=nodes=2"], "--slurm=nodes=2 is for jobs: add --launcher=slurm"),
        (["--launcher=slurm", "--distributed"], "--distributed is for the hosts themselves"),
        (["--launcher=slurm", "--slurm=nodes"], "--slurm=nodes must be NAME=VALUE"),
        (["--launcher=slurm"], "--launcher=slurm: Could not detect"),
        (["--launcher=slurm", "--config.batch_size=0"], "batch_size"),
    ],
)
def test_mistakes(flags, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert (
        main(["launch.py", "train", "--config=mlp_digits", f"--workdir={tmp_path}/run", *flags])
        == 1
    )
    assert sentence in capsys.readouterr().err
    assert not Workdir(tmp_path / "run").has_run


def test_another_config_is_refused_before_the_job(tiny_config, tmp_path):
    fit(tiny_config, tmp_path, callbacks=[Quiet()])
    other = apply_overrides(tiny_config, {"batch_size": 16})
    with pytest.raises(UserError, match="batch_size"):
        submit_run(other, tmp_path, cluster="local")
    assert not (tmp_path / "logs").exists()
