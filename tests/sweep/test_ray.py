"""Workers as tasks of Ray, in a cluster of this machine."""

import os
import signal
import threading
import time

import pytest

from cnnlab import sweep
from cnnlab.errors import UserError
from cnnlab.sweep.study.plan import plan_function
from cnnlab.sweep.study.study import open_study
from cnnlab.sweep.workers.command import WorkerCommand
from cnnlab.sweep.workers.objective import FunctionObjective
from cnnlab.sweep.workers.ray import _share, work_on_ray
from tests.sweep.objectives import CALLS, slow_curve
from tests.sweep.test_study import told

pytest.importorskip("ray", reason="pip install 'cnnlab[ray]'")

SPACE = {"x": "uniform(0, 1)"}
OPTIONS = {"sampler": "random", "pruner": "none", "repeats": 1, "seed": 0}


@pytest.fixture
def objective():
    return FunctionObjective(slow_curve)


@pytest.fixture
def study(objective, tmp_path):
    spec = plan_function(objective, SPACE, (), direction="maximize", **OPTIONS)
    return open_study(tmp_path / "study", spec, storage_url=None, trials=4)


@pytest.mark.slow
def test_a_worker_is_killed_and_the_study_is_complete(study, objective, tmp_path, monkeypatch):
    """Ray starts the only worker again, which resumes its trial."""
    calls = tmp_path / "calls"
    calls.mkdir()
    monkeypatch.setenv(CALLS, str(calls))
    killed = []

    def kill():
        while not any(len(path.read_text().splitlines()) > 12 for path in calls.iterdir()):
            time.sleep(0.01)
        killed.append(int(next(calls.iterdir()).name))
        os.kill(killed[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    work_on_ray(study, WorkerCommand(study.folder, study.storage_url, objective, 1, 1))
    workers = {int(path.name) for path in calls.iterdir()}
    assert len(workers) == 2
    assert killed[0] in workers
    whole = sweep.run(SPACE, slow_curve, folder=tmp_path / "whole", trials=4,
                      direction="maximize", **OPTIONS)  # fmt: skip
    assert told(study.results()) == told(whole)


@pytest.mark.parametrize(
    ("resources", "workers", "share"),
    [
        ({"CPU": 8.0, "GPU": 2.0}, 2, {"num_cpus": 4, "num_gpus": 1}),
        ({"CPU": 8.0, "GPU": 2.0}, 3, {"num_cpus": 2, "num_gpus": 0.66}),
        ({"CPU": 2.0}, 4, {"num_cpus": 0.5, "num_gpus": 0}),
    ],
)
def test_workers_have_equal_shares(resources, workers, share):
    assert _share(resources, workers) == share


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("num_cpus", "ray=num_cpus must be NAME=VALUE"),
        ("num_cpus=many", "ray=num_cpus=many: 'many' is not a number"),
    ],
)
def test_mistakes(study, objective, option, sentence):
    command = WorkerCommand(study.folder, study.storage_url, objective, 1, 1)
    with pytest.raises(UserError, match=sentence):
        work_on_ray(study, command, options=[option])
