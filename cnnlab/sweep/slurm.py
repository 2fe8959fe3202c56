"""Workers as jobs of a Slurm array, by submitit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.sweep.study import Study, open_study
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

    A job that Slurm stops for its time limit, or preempts, is queued again by submitit; its trial
    goes on at the last checkpoint, in that job or another one.

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
    try:
        import submitit
    except ImportError as error:
        raise UserError("--launcher=slurm needs submitit: pip install 'cnnlab[slurm]'.") from error
    try:
        executor = submitit.AutoExecutor(folder=study.folder / "logs", cluster=cluster)
        executor.update_parameters(name=f"sweep-{study.name}", **_parameters(options))
        with executor.batch():
            shared = {"population": population, "workers": workers}
            work = _Work(study.folder.resolve(), study.storage_url, shared)
            jobs = [executor.submit(work) for _ in range(workers)]
    except (NameError, ValueError, RuntimeError, submitit.core.utils.FailedJobError) as error:
        raise UserError(f"--launcher=slurm: {str(error).splitlines()[0]}") from error
    return [job.job_id for job in jobs]


class _Work:
    """The life of a job; submitit asks for `checkpoint` when Slurm is about to end it."""

    def __init__(self, folder: Path, storage_url: str | None, options: dict[str, int]):
        self._folder, self._storage_url, self._options = folder, storage_url, options

    def __call__(self) -> None:
        study = open_study(self._folder, None, storage_url=self._storage_url, trials=None)
        try:
            study.worker(study.objective(), **self._options).work()
        except Interrupted:
            print("Stopped by a signal; all is saved.")

    def checkpoint(self) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def _parameters(options: Sequence[str]) -> dict[str, Any]:
    parameters = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--slurm={option} must be NAME=VALUE, e.g. slurm_partition=gpu.")
        parameters[name] = int(value) if value.isdecimal() else value
    return parameters
