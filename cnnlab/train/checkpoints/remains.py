"""Removes what killed processes have left in the folder of a run."""

import contextlib
from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.storage.atomic_write import temporary_name
from cnnlab.train.checkpoints.reader import CheckpointReader
from cnnlab.train.checkpoints.writer import REMAINS, CheckpointWriter
from cnnlab.train.runtime.workdir import Workdir


def remove_remains(workdir: str | Path) -> None:
    """Removes half-written and surplus checkpoints and temporary files of a run.

    A run does this whenever it starts. This is for runs that will not start again, e.g. those of a
    study that has ended. A run that another process is training, or whose files are damaged, is
    left as it is.

    Args:
      workdir: the run's folder.
    """
    folder = Workdir(workdir)
    reader = CheckpointReader(folder.path, report=lambda _: None)
    with contextlib.suppress(UserError, OSError):
        if not folder.has_run or not reader.directory.is_dir():
            return
        keep = folder.config().checkpoint.keep
        patterns = [temporary_name("*"), *(f"checkpoints/{name}" for name in REMAINS)]
        if not reader.surplus(keep) and not any(any(folder.path.glob(p)) for p in patterns):
            return
        with CheckpointWriter(
            folder.path, keep=keep, mode=reader.mode() or "max", report=lambda _: None
        ):
            folder.remove_temporary()
