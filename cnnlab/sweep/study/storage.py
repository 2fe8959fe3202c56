"""The storage of a study's trials: a journal in its folder, or a PostgreSQL database."""

from pathlib import Path
from urllib.parse import urlsplit

from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage

from cnnlab.errors import UserError
from cnnlab.sweep.study.journal import Journal
from cnnlab.sweep.study.leases import Leases, PostgresLeases, file_leases
from cnnlab.sweep.study.optuna_quiet import quiet_optuna

JOURNAL = "journal.log"
LOCKS = "locks"


def open_storage(folder: Path, name: str, url: str | None) -> tuple[BaseStorage, Leases]:
    """Opens the storage of a study, which is made if there is none.

    Args:
      folder: folder of the study.
      name: name of the study.
      url: `postgresql://...`; None keeps a journal in the folder.

    Raises:
      UserError: another kind of storage, or one that cannot be reached.
    """
    with quiet_optuna():
        if url is None:
            leases = file_leases(folder / LOCKS)
            return JournalStorage(Journal(folder / JOURNAL, leases)), leases
        if urlsplit(url).scheme not in ("postgresql", "postgres"):
            raise UserError(
                f"storage={url}: only postgresql://USER@HOST/DATABASE is known; without it the "
                "study is kept in its folder."
            )
        database = PostgresLeases(url, name)
        with database.mutex():  # two processes that make the tables at once disturb each other
            tables = RDBStorage("postgresql+psycopg:" + url.partition(":")[2])
            return get_storage(tables), database  # which asks for finished trials once only


def without_password(url: str | None) -> str | None:
    """Returns the URL as it may be shown and written down."""
    if url is None or "@" not in url:
        return url
    parts = urlsplit(url)
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}@{host}" if user else host).geturl()
