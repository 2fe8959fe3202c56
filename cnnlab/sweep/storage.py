"""Where a study's trials are kept: a journal in its folder, or a PostgreSQL database."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection

from cnnlab.errors import UserError
from cnnlab.sweep.leases import FileLeases, Leases, PostgresLeases, file_leases
from cnnlab.sweep.optuna_quiet import quiet_optuna

JOURNAL = "journal.log"
LOCKS = "locks"


def open_storage(folder: Path, name: str, url: str | None) -> tuple[BaseStorage, Leases]:
    """Opens the storage, and makes it where there is none.

    Args:
      folder: of the study.
      name: of the study.
      url: `postgresql://...`; None keeps a journal in the folder.

    Raises:
      UserError: another kind of storage, or one that cannot be reached.
    """
    with quiet_optuna():
        if url is None:
            leases = file_leases(folder / LOCKS)
            lock = _JournalLock(folder / JOURNAL, leases)
            return JournalStorage(JournalFileBackend(str(folder / JOURNAL), lock)), leases
        if urlsplit(url).scheme not in ("postgresql", "postgres"):
            raise UserError(
                f"--storage={url}: only postgresql://USER@HOST/DATABASE is known; without it the "
                "study is kept in its folder."
            )
        database = PostgresLeases(url, name)
        with database.mutex():  # two processes that make the tables at once disturb each other
            tables = RDBStorage("postgresql+psycopg:" + url.partition(":")[2])
            return get_storage(tables), database  # which asks for finished trials once only


def without_password(url: str | None) -> str | None:
    """A URL that can be shown and written down."""
    if url is None or "@" not in url:
        return url
    parts = urlsplit(url)
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}@{host}" if user else host).geturl()


def find_study(storage: BaseStorage, leases: Leases, name: str, direction: str) -> int:
    """The id of the study of that name, which is made if there is none."""
    with leases.mutex(), quiet_optuna():
        try:
            return storage.get_study_id_from_name(name)
        except KeyError:
            maximize = direction == "maximize"
            return storage.create_new_study(
                [StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE], name
            )


class _JournalLock:
    """Lets one process write the journal at a time.

    Optuna's own locks are files, which a killed process leaves behind for half a minute. It also
    cannot read a journal any more in which a line was left unfinished, by a full disk or a machine
    that went down, and others were written after it; here such an end is cut off.
    """

    def __init__(self, path: Path, leases: FileLeases):
        self._path, self._leases = path, leases

    def acquire(self) -> bool:
        self._entered = self._leases.journal()
        self._entered.__enter__()
        if self._path.exists() and self._path.stat().st_size:
            self._cut_off_unfinished_line()
        return True

    def release(self) -> None:
        self._entered.__exit__(None, None, None)

    def _cut_off_unfinished_line(self) -> None:
        with self._path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
