"""Locks a directory so that one training run at a time writes into it."""

import errno
import fcntl
import os
from pathlib import Path
from typing import IO

from cnnlab.errors import UserError


def hold(path: Path) -> IO[bytes]:
    """Locks `path` until the returned file is closed or the process ends.

    This is a record lock because worker processes forked by a run would inherit a `flock` and hold
    it after the run is killed. File systems without locks are not locked.

    Raises:
      UserError: another process holds it.
    """
    stream = path.open("a+b")
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return stream
        stream.seek(0)
        holder = stream.read().decode(errors="replace").strip()
        stream.close()
        raise UserError(
            f"Process {holder} is writing into {path.parent}; wait until it ends, or choose "
            "another working directory."
        ) from error
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n".encode())
    stream.flush()
    return stream
