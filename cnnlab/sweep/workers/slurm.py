"""Workers as jobs of a Slurm array, by submitit."""

from collections.abc import Sequence

from cnnlab.sweep.study.study import Study
from cnnlab.sweep.workers.command import WorkerCommand
from cnnlab.train.runtime import slurm


def submit(
    study: Study,
    command: WorkerCommand,
    *,
    options: Sequence[str] = (),
    cluster: str = "slurm",
) -> list[str]:
    """Submits workers for a study and returns immediately.

    A job that reaches its time limit or is preempted saves its trial and is queued again. The trial
    is resumed by that job or by another one.

    Args:
      study: a study in a folder that the nodes share.
      command: what each job runs.
      options: `NAME=VALUE` for submitit's `update_parameters`.
      cluster: `slurm`, or `local` for processes of this machine.

    Returns:
      The ids of the jobs.

    Raises:
      UserError: submitit is not installed, there is no Slurm, or an option is invalid.
    """
    return slurm.submit(
        command,
        name=f"sweep-{study.name}",
        folder=study.folder / "logs",
        count=command.workers,
        options=options,
        cluster=cluster,
    )
