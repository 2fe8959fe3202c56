"""Workers as jobs of a Slurm array, by submitit."""

from collections.abc import Sequence
from pathlib import Path

from cnnlab.sweep.study import Study, open_study
from cnnlab.train import slurm
from cnnlab.train.interrupts import Interrupted


def submit(
    study: Study,
    *,
    workers: int,
    population: int = 1,
    options: Sequence[str] = (),
    cluster: str = "slurm",
) -> list[str]:
    """Submits workers for a study, and returns at once.

    A job that Slurm stops for its time limit, or preempts, saves and is queued again; its trial
    goes on in that job or another one.

    Args:
      study: in a folder that the nodes share.
      workers: how many jobs.
      population: see `Worker`.
      options: `NAME=VALUE`, as submitit's `update_parameters` takes them.
      cluster: `slurm`, or `local` for processes of this machine.

    Returns:
      The ids of the jobs.

    Raises:
      UserError: submitit is not installed, there is no Slurm, or an option cannot be.
    """
    shared = {"population": population, "workers": workers}
    return slurm.submit(
        _Work(study.folder.resolve(), study.storage_url, shared),
        name=f"sweep-{study.name}",
        folder=study.folder / "logs",
        count=workers,
        options=options,
        cluster=cluster,
    )


class _Work:
    """What a job does."""

    def __init__(self, folder: Path, storage_url: str | None, options: dict[str, int]):
        self._folder, self._storage_url, self._options = folder, storage_url, options

    def __call__(self) -> int:
        study = open_study(self._folder, None, storage_url=self._storage_url, trials=None)
        try:
            study.worker(study.objective(), **self._options).work()
        except Interrupted as stop:
            print("Stopped by a signal; all is saved.")
            return 128 + stop.signum
        return 0
