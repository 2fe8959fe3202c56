"""Submits work as jobs of a Slurm cluster, with submitit."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import jax

from cnnlab.errors import UserError, first_line
from cnnlab.train.runtime.signals import StopRequests


def submit(
    work: Callable[[], int],
    *,
    name: str,
    folder: str | Path,
    count: int = 1,
    options: Sequence[str] = (),
    cluster: str = "slurm",
) -> list[str]:
    """Submits jobs and returns at once.

    A job that Slurm preempts or stops at its time limit saves its state as for SIGTERM and is
    queued again, at a time limit at most three times.

    Args:
      work: function that each task of a job calls; returns the exit status. It is pickled and must
        be able to resume.
      name: name of the jobs.
      folder: folder of logs and submitit's files, shared by the nodes.
      count: number of jobs; several form an array.
      options: parameters `NAME=VALUE` for submitit's `update_parameters`.
      cluster: `slurm`, or `local` for processes of this machine.

    Returns:
      The ids of the jobs.

    Raises:
      UserError: submitit is not installed, there is no Slurm, or an option is invalid.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError("launcher=slurm needs submitit: pip install 'cnnlab[slurm]'.") from error
    parameters = _parameters(options)
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(name=name, **parameters)
        with executor.batch():
            jobs = [executor.submit(_Job(work)) for _ in range(count)]
    except (NameError, ValueError, RuntimeError, submitit.core.utils.FailedJobError) as error:
        raise UserError(f"launcher=slurm: {first_line(error)}") from error
    return [job.job_id for job in jobs]


class _Job:
    """Runs one task of a job.

    Before Slurm ends a job, it sends a signal, on which submitit queues the job again (through its
    method `checkpoint`) and ends it at once. Here the work is stopped first.
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
    """Whether a run, or JAX for several hosts, handles SIGTERM, and not only submitit."""
    handler = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return isinstance(handler, StopRequests) or jax.distributed.is_initialized()


def _parameters(options: Sequence[str]) -> dict[str, Any]:
    parameters = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"slurm={option} must be NAME=VALUE, e.g. slurm_partition=gpu.")
        parameters[name] = int(value) if value.isdecimal() else value
    return parameters
