"""Workers as jobs: through submitit's executor for processes of this machine."""

import shutil
import time
from pathlib import Path

import pytest

from cnnlab import sweep
from cnnlab.config import apply_overrides, load_experiment
from cnnlab.errors import UserError
from cnnlab.sweep.study.plan import plan_config
from cnnlab.sweep.study.study import open_study
from cnnlab.sweep.workers.command import WorkerCommand
from cnnlab.train.runtime import slurm
from tests.sweep.test_study import told

pytest.importorskip("submitit", reason="pip install 'cnnlab[slurm]'")

RATES = {"optimizer.learning_rate": [0.1, 0.01]}


@pytest.fixture
def study(tiny_config, tmp_path):
    options = {"sampler": "grid", "pruner": "none", "repeats": 1, "seed": 0}
    spec = plan_config(tiny_config, RATES, [], **options)
    return open_study(tmp_path / "jobs", spec, storage_url=None, trials=None)


def submit_workers(study, workers, **options):
    command = WorkerCommand(study.folder, study.storage_url, None, 1, workers)
    return slurm.submit(
        command, name="sweep", folder=study.folder / "logs", count=workers, **options
    )


def wait_for(study):
    deadline = time.monotonic() + 300
    while not study.is_over():
        assert time.monotonic() < deadline, list((study.folder / "logs").iterdir())
        time.sleep(0.2)


@pytest.mark.slow
def test_jobs_do_the_study(study, tiny_config, tmp_path):
    jobs = submit_workers(study, 2, options=["timeout_min=5"], cluster="local")
    assert len(set(jobs)) == 2
    wait_for(study)
    whole = sweep.run(RATES, apply_overrides(tiny_config, {}), sampler="grid",
                      folder=tmp_path / "whole", population="off")  # fmt: skip
    assert told(study.results()) == told(whole)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["timeout_mn=5"], "^launcher=slurm: .*timeout_mn"),
        (["timeout_min"], "^slurm=timeout_min must be NAME=VALUE"),
    ],
)
def test_mistakes(study, options, sentence):
    with pytest.raises(UserError, match=sentence):
        submit_workers(study, 1, options=options, cluster="local")


def test_no_slurm(study, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"^launcher=slurm: Could not detect"):
        submit_workers(study, 1)


@pytest.mark.slow
def test_jobs_know_the_names_of_my_experiment(registered, tmp_path):
    """A network, data set and metric of a user's file, by name in a process of another start."""
    path = shutil.copy(Path(__file__).parents[1] / "my_experiment.py", tmp_path)
    config = apply_overrides(load_experiment(path), {"epochs": None, "steps": 4})
    options = {"sampler": "grid", "pruner": "none", "repeats": 1, "seed": 0}
    spec = plan_config(config, {"optimizer.learning_rate": [0.1, 0.01]}, [], **options)
    study = open_study(tmp_path / "jobs", spec, storage_url=None, trials=None)
    submit_workers(study, 1, options=["timeout_min=5"], cluster="local")
    wait_for(study)
    results = study.results()
    assert (results.metric.name, results.counts) == ("worst_recall", {"complete": 2})
