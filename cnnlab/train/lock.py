"""One training run at a time may write into a directory."""

import errno
import fcntl
import os
from pathlib import Path
from typing import IO

from cnnlab.errors import UserError


def hold(path: Path) -> IO[bytes]:
    """Takes the lock on `path` until the returned file is closed or the process ends.

    A record lock and not `flock`: worker processes forked by a run would inherit the latter and
    hold it after the run was killed. Where the file system has no locks, nothing is locked.

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
