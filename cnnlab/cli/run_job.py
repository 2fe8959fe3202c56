"""A training run as a job of a cluster."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cnnlab.cli.main import main
from cnnlab.config import Config, to_json, with_plugins
from cnnlab.storage.object_store import refuse_url
from cnnlab.train.runtime import slurm
from cnnlab.train.runtime.workdir import Workdir


def submit_run(
    config: Config, workdir: Path | str, *, options: Sequence[str] = (), cluster: str = "slurm"
) -> list[str]:
    """Submits `train` with this config as one job, through `cnnlab.train.runtime.slurm.submit`.

    The config is saved now, so edits of files while the job waits have no effect.

    Raises:
      UserError: the job cannot be submitted, or the folder holds a run with another config.
    """
    refuse_url(workdir, "a job prints into it, so choose a workdir that the nodes share")
    folder = Workdir(workdir.resolve())
    if folder.has_run:
        folder.check_config(config, longer=True)
    logs = Workdir(folder.path / "logs")
    logs.create()
    logs.write("experiment.json", to_json(with_plugins(config)))
    work = _Train(logs.path / "experiment.json", folder.path)
    return slurm.submit(work, name=workdir.name, folder=logs.path, options=options, cluster=cluster)


class _Train:
    """Runs in each task of the job; several tasks train together."""

    def __init__(self, experiment: Path, workdir: Path):
        self._flags = [f"--config={experiment}", f"--workdir={workdir}"]

    def __call__(self) -> int:
        import submitit

        several = submitit.JobEnvironment().num_tasks > 1
        # Also for the record of the run.
        sys.argv = ["launch.py", "train", *self._flags, *(["--distributed"] if several else [])]
        return main(sys.argv)
