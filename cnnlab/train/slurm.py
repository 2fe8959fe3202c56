"""Work as jobs of a Slurm cluster, by submitit."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import jax

from cnnlab.errors import UserError
from cnnlab.train.interrupts import StopRequests


def submit(
    work: Callable[[], int],
    *,
    name: str,
    folder: str | Path,
    count: int = 1,
    options: Sequence[str] = (),
    cluster: str = "slurm",
) -> list[str]:
    """Submits jobs, and returns at once.

    A job that Slurm stops for its time limit, or preempts, saves as it does for SIGTERM, and is
    queued again; at a time limit three times at most.

    Args:
      work: what every task of a job does; gives its exit status. It is pickled, and must be able to
        go on where it was stopped.
      name: of the jobs.
      folder: for what they print, and for submitit's files; the nodes must share it.
      count: how many jobs; several are an array.
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
    parameters = _parameters(options)
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(name=name, **parameters)
        with executor.batch():
            jobs = [executor.submit(_Job(work)) for _ in range(count)]
    except (NameError, ValueError, RuntimeError, submitit.core.utils.FailedJobError) as error:
        raise UserError(f"--launcher=slurm: {str(error).splitlines()[0]}") from error
    return [job.job_id for job in jobs]


class _Job:
    """The life of a task of a job.

    Before Slurm ends a job, it sends a signal that submitit answers by queueing the job again, as
    its method `checkpoint` says, and ending it at once. Here the work is stopped first.
    """

    def __init__(self, work: Callable[[], int]):
        self._work = work

    def __call__(self) -> None:
        import submitit

        number = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        queue_again = signal.getsignal(number)
        asked = False

        def stop(signum: int, frame: FrameType | None) -> None:
            nonlocal asked
            asked = True
            if not _hears_sigterm():  # nothing to save yet
                queue_again(signum, frame)
            signal.raise_signal(signal.SIGTERM)

        signal.signal(number, stop)
        status = self._work()
        signal.signal(number, queue_again)
        if asked and status == 128 + signal.SIGTERM:
            queue_again(number, None)
        if status:
            sys.exit(status)

    def checkpoint(self) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def _hears_sigterm() -> bool:
    """Whether a run, or JAX for several hosts, waits for SIGTERM; else it is submitit, in vain."""
    handler = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return isinstance(handler, StopRequests) or jax.distributed.is_initialized()


def _parameters(options: Sequence[str]) -> dict[str, Any]:
    parameters = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--slurm={option} must be NAME=VALUE, e.g. slurm_partition=gpu.")
        parameters[name] = int(value) if value.isdecimal() else value
    return parameters
