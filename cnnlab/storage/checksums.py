"""SHA-256 of the files of a folder that is being worked in, so that later changes are noticed.

A manifest seals a finished folder at once; the files of a run come one after the other, and one of
them grows. Each has an entry: the bytes that were written, and their SHA-256. A file that grows may
be longer than its entry says.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.storage.manifest import DamagedError, protected, read_protected, write_protected

CHECKSUMS = "checksums.sha256"

# Bytes, SHA-256.
_Entry = tuple[int, str]


def checked(path: Path, data: bytes, *, grows: bool = False) -> bytes:
    """Returns the content of a file, which must be what was written.

    Args:
      path: of the file.
      data: its content; compared where the folder has an entry for it.
      grows: whether more may have been written behind it.

    Raises:
      UserError: it was edited or damaged, or the checksums were.
    """
    if not matches(path, data, grows=grows):
        raise UserError(
            f"{path} is damaged or was edited: its SHA-256 is not that in {CHECKSUMS}. Restore the "
            "file."
        )
    return data


def matches(path: Path, data: bytes, *, grows: bool = False) -> bool:
    """Whether `data` is what the entry of a file says, or there is none; as `checked`."""
    entries = _read(path.parent).get(path.name)
    return entries is None or any(
        (size <= len(data) if grows else size == len(data)) and _digest(data[:size]) == digest
        for size, digest in entries
    )


def write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all, with its entry.

    After a kill at any moment, the file has the old content or the new one, and is not taken for
    damaged.
    """
    entries = _read(path.parent)
    if path.name in entries:
        _write(path.parent, entries | {path.name: [_entry(data), *entries[path.name]]})
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    record(path, data)


def record(path: Path, data: bytes | None = None) -> None:
    """Makes the entry of a file that lies there: of `data`, or of what it holds."""
    data = path.read_bytes() if data is None else data
    _write(path.parent, _read(path.parent) | {path.name: [_entry(data)]})


def is_recorded(path: Path) -> bool:
    """Whether a file has an entry."""
    return path.name in _read(path.parent)


def forget(path: Path) -> None:
    """Removes the entry of a file that is to be replaced or removed."""
    entries = dict(_read(path.parent))
    if entries.pop(path.name, None) is not None:
        _write(path.parent, entries)


def without(content: bytes, names: Collection[str]) -> bytes:
    """Returns the content of a file of checksums without the entries of these names."""
    entries = json.loads(content.partition(b"\n")[2])
    return protected({name: entry for name, entry in entries.items() if name not in names})


def _read(folder: Path) -> Mapping[str, list[_Entry]]:
    path = folder / CHECKSUMS
    if not path.exists():
        return {}
    try:
        return read_protected(path)
    except DamagedError as error:
        raise UserError(
            f"{path} is damaged ({error}), so that the other files cannot be verified. Restore it, "
            "or remove it to use them as they are."
        ) from error


def _write(folder: Path, entries: Mapping[str, list[_Entry]]) -> None:
    write_protected(folder / CHECKSUMS, entries)


def _entry(data: bytes) -> _Entry:
    return len(data), _digest(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
