"""Locks on trials, which the system releases when their holder dies for any reason.

There is no clock and no heartbeat: a killed worker releases its trial at once, and a slow or
suspended one keeps it.
"""

import contextlib
import errno
import fcntl
import functools
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError, first_line


class Leases:
    """The locks of a study in memory, which only this process knows; base of shared locks."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._threads = threading.RLock()

    def mutex(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context that only one worker of the study can be in at a time."""
        return contextlib.nullcontext()

    def take(self, number: int) -> bool:
        """Takes trial `number`; False if another process or this one holds it."""
        with self._threads:
            # The system would give a process the same lock a second time.
            if number in self._held or not self._try(number):
                return False
            self._held.add(number)
            return True

    def drop(self, number: int) -> None:
        """Releases a trial."""
        with self._threads:
            self._held.discard(number)
            self._free(number)

    def is_free(self, number: int) -> bool:
        """Whether no worker holds the trial."""
        with self._threads:
            if number in self._held or not self._try(number):
                return False
            self._free(number)
            return True

    def _try(self, number: int) -> bool:
        return True

    def _free(self, number: int) -> None:
        pass


class FileLeases(Leases):
    """Locks on single bytes of a file in the study's folder, for processes that share the folder.

    Record locks, and not `flock`: processes that a run forks would inherit the latter, and hold
    them after the run was killed. A process loses its record locks when it closes the file under
    any number; so each file is opened once (`file_leases`) and never closed.
    """

    _MUTEX, _JOURNAL, _TRIALS = 0, 1, 2

    def __init__(self, path: Path):
        super().__init__()
        self._file = path.open("a+b")

    @contextlib.contextmanager
    def mutex(self) -> Iterator[None]:
        with self._locked(self._MUTEX):
            yield

    def journal(self) -> contextlib.AbstractContextManager[None]:
        """Returns such a context for the journal, which is also written inside of `mutex`."""
        return self._locked(self._JOURNAL)

    @contextlib.contextmanager
    def _locked(self, byte: int) -> Iterator[None]:
        with self._threads:
            self._lock(fcntl.LOCK_EX, byte)
            try:
                yield
            finally:
                self._lock(fcntl.LOCK_UN, byte)

    def _try(self, number: int) -> bool:
        try:
            self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB, self._TRIALS + number)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def _free(self, number: int) -> None:
        self._lock(fcntl.LOCK_UN, self._TRIALS + number)

    def _lock(self, how: int, byte: int) -> None:
        try:
            fcntl.lockf(self._file, how, 1, byte)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise UserError(
                    f"The file system of {self._file.name} has no locks, which keep two workers "
                    "from one trial: take another folder, or storage=postgresql://..."
                ) from error
            raise


def file_leases(path: Path) -> FileLeases:
    """Returns the locks in a file: one object for each file and process."""
    return _file_leases(path.resolve(), os.getpid())


@functools.cache
def _file_leases(path: Path, process: int) -> FileLeases:
    return FileLeases(path)


class PostgresLeases(Leases):
    """Advisory locks of a PostgreSQL session, for processes on any machines.

    The server frees them when the connection ends: at once when the process dies, and after half a
    minute when its machine or the network does.
    """

    def __init__(self, url: str, name: str):
        """Connects.

        Args:
          url: `postgresql://USER@HOST/DATABASE`, as libpq reads it.
          name: name of the study; each has its own locks.

        Raises:
          UserError: psycopg is not installed, or the server does not answer.
        """
        super().__init__()
        try:
            import psycopg
        except ImportError as error:
            raise UserError(
                "storage=postgresql://... needs psycopg: pip install 'cnnlab[postgresql]'."
            ) from error
        try:
            self._connection = psycopg.connect(url, autocommit=True)
        except psycopg.Error as error:
            text = first_line(error)
            raise UserError(f"The study's storage cannot be reached: {text}.") from error
        for setting, seconds in (("idle", 10), ("interval", 5), ("count", 4)):
            self._connection.execute(f"SET tcp_keepalives_{setting} = {seconds}")
        self._study = zlib.crc32(name.encode()) - 2**31

    @contextlib.contextmanager
    def mutex(self) -> Iterator[None]:
        self._ask("pg_advisory_lock", 0)
        try:
            yield
        finally:
            self._ask("pg_advisory_unlock", 0)

    def _try(self, number: int) -> bool:
        return self._ask("pg_try_advisory_lock", number + 1)

    def _free(self, number: int) -> None:
        self._ask("pg_advisory_unlock", number + 1)

    def _ask(self, function: str, key: int) -> Any:
        query = f"SELECT {function}(%s::int4, %s::int4)"
        return self._connection.execute(query, (self._study, key)).fetchone()[0]
