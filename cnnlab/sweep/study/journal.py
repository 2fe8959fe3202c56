"""A study's journal: Optuna's, a line of JSON for each change, with checksums."""

import dataclasses
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from cnnlab.errors import UserError
from cnnlab.sweep.study.leases import FileLeases

_SUM = b',"sum":'


@dataclasses.dataclass(frozen=True, order=True)
class _Place:
    """A position between two lines: number of bytes, lines and changes before it, and their sum."""

    offset: int = 0
    line: int = 0
    changes: int = 0
    sum: int = 0


class Journal(BaseJournalBackend):
    """Optuna's journal in a file, in which every line has a checksum of all lines up to it.

    The next change removes an unfinished last line, which a full disk or a crash can leave. Blank
    lines are skipped. One process writes at a time; the system releases its lock when it dies,
    whereas Optuna's own locks are files that remain.
    """

    def __init__(self, path: Path, leases: FileLeases):
        self._path, self._leases = path, leases
        self._read = _Place()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yields the changes from that number on; raises a `UserError` for a damaged line."""
        start = self._read if log_number_from >= self._read.changes else _Place()
        for change, place in self._scan(start):
            self._read = place
            if place.changes > log_number_from:
                yield change

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds changes, which are on disk when this returns."""
        with self._leases.journal():
            end = max((place for _, place in self._scan(self._read)), default=self._read)
            lines, total = [], end.sum
            for log in logs:
                text = json.dumps(log, separators=(",", ":")).encode()
                total = zlib.crc32(text, total)
                lines.append(text[:-1] + _SUM + b"%d}\n" % total)
            with self._path.open("ab") as file:
                file.truncate(end.offset)
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())

    def _scan(self, place: _Place) -> Iterator[tuple[dict[str, Any], _Place]]:
        """Each change after a position, with the position after it; skips an unfinished line."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < place.offset:
                raise UserError(f"{self._path} was cut off while it was in use: start again.")
            file.seek(place.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset, number = place.offset + len(line), place.line + 1
                if not line.strip():
                    place = dataclasses.replace(place, offset=offset, line=number)
                    continue
                text, _, total = line.rpartition(_SUM)
                found = zlib.crc32(text + b"}", place.sum)
                if total != b"%d}\n" % found:
                    raise UserError(
                        f"{self._path}, line {number} is damaged. Restore the file from a copy, "
                        "or delete this line and all after it: trials that only they tell of are "
                        "resumed from their runs."
                    )
                place = _Place(offset, number, place.changes + 1, found)
                yield json.loads(text + b"}"), place
