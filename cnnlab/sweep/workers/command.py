"""The worker command, which every launcher starts: as a process, a Slurm job or a Ray task."""

import dataclasses
import os
import sys
from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.plugins import given_plugins, now_given
from cnnlab.sweep.study.study import open_study
from cnnlab.sweep.workers.config_objective import ConfigObjective
from cnnlab.sweep.workers.objective import FunctionObjective
from cnnlab.sweep.workers.worker import Worker
from cnnlab.train.runtime.signals import Interrupted, StopRequests


@dataclasses.dataclass(frozen=True)
class WorkerCommand:
    """Works on a study in a folder until no trial is left to take; can be pickled.

    Attributes:
      folder: absolute path of the study's folder.
      storage_url: URL of the study's database, with the password; None for the journal.
      function: the function that the trials call, which the worker must be able to import; None for
        the study of a config.
      population: number of runs that one program may train, as in `Worker`.
      workers: number of workers that share the trials.
      plugins: the user's files that register components.
      log: file for the worker's output; None leaves the output to the launcher.
    """

    folder: Path
    storage_url: str | None
    function: FunctionObjective | None
    population: int
    workers: int
    plugins: tuple[str, ...] = dataclasses.field(default_factory=now_given)
    log: Path | None = None

    def __call__(self) -> int:
        """Returns the exit status: 0, 1 for a `UserError`, 128 plus the signal that stopped it."""
        if self.log is not None:
            with self.log.open("a") as stream:
                os.dup2(stream.fileno(), sys.stdout.fileno())
                os.dup2(stream.fileno(), sys.stderr.fileno())
        with StopRequests() as stop:  # before the study is opened, which takes a while
            try:
                given_plugins(self.plugins)
                study = open_study(self.folder, None, storage_url=self.storage_url, trials=None)
                objective = self.function or ConfigObjective(study)
                if stop.signum is None:
                    Worker(
                        study, objective, population=self.population, workers=self.workers
                    ).work()
            except Interrupted:
                print("Stopped by a signal; all is saved.")
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
        return 0 if stop.signum is None else 128 + stop.signum
