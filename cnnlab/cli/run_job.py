"""A training run as a job of a cluster."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cnnlab.cli.main import main
from cnnlab.config import Config, to_json
from cnnlab.train import slurm
from cnnlab.train.workdir import Workdir


def submit_run(
    config: Config, workdir: Path, *, options: Sequence[str] = (), cluster: str = "slurm"
) -> list[str]:
    """Submits `train` with this config as one job; see `cnnlab.train.slurm.submit`.

    The config is written down now: files that are edited while the job waits do not change it.

    Raises:
      UserError: also where the folder holds a run with another config.
    """
    folder = Workdir(workdir.resolve())
    if folder.has_run:
        folder.check_config(config)
    logs = Workdir(folder.path / "logs")
    logs.create()
    logs.write("experiment.json", to_json(config))
    work = _Train(logs.path / "experiment.json", folder.path)
    return slurm.submit(work, name=workdir.name, folder=logs.path, options=options, cluster=cluster)


class _Train:
    """What each task of the job does: all together where there are several."""

    def __init__(self, experiment: Path, workdir: Path):
        self._flags = [f"--config={experiment}", f"--workdir={workdir}"]

    def __call__(self) -> int:
        import submitit

        several = submitit.JobEnvironment().num_tasks > 1
        # Also for the record of the run.
        sys.argv = ["launch.py", "train", *self._flags, *(["--distributed"] if several else [])]
        return main(sys.argv)
