"""Workers as jobs: through submitit's executor for processes of this machine."""

import time

import pytest

from cnnlab import sweep
from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.sweep.plan import plan_config
from cnnlab.sweep.slurm import submit
from cnnlab.sweep.study import open_study
from tests.sweep.test_study import told

pytest.importorskip("submitit", reason="pip install 'cnnlab[slurm]'")

RATES = {"optimizer.learning_rate": [0.1, 0.01]}


@pytest.fixture
def study(tiny_config, tmp_path):
    options = {"sampler": "grid", "pruner": "none", "repeats": 1, "seed": 0, "lag": 1}
    spec = plan_config(tiny_config, RATES, [], **options)
    return open_study(tmp_path / "jobs", spec, storage_url=None, trials=None)


@pytest.mark.slow
def test_jobs_do_the_study(study, tiny_config, tmp_path):
    jobs = submit(study, workers=2, options=["timeout_min=5"], cluster="local")
    assert len(set(jobs)) == 2
    deadline = time.monotonic() + 300
    while not study.ledger.is_over():
        assert time.monotonic() < deadline, list((tmp_path / "jobs" / "logs").iterdir())
        time.sleep(0.2)
    whole = sweep.run(RATES, apply_overrides(tiny_config, {}), sampler="grid",
                      folder=tmp_path / "whole", population="off")  # fmt: skip
    assert told(study.results()) == told(whole)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["timeout_mn=5"], "--launcher=slurm: .*timeout_mn"),
        (["timeout_min"], "--slurm=timeout_min must be NAME=VALUE"),
    ],
)
def test_mistakes(study, options, sentence):
    with pytest.raises(UserError, match=sentence):
        submit(study, workers=1, options=options, cluster="local")


def test_no_slurm(study, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="--launcher=slurm: Could not detect"):
        submit(study, workers=1)
