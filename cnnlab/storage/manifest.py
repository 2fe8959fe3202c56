"""A list of all files of a finished folder with their sizes and SHA-256, itself protected.

A checkpoint without damage is one whose files are byte for byte those that were written. Neither
Orbax nor the array stores under it promise that: a flipped bit in a chunk is restored as a wrong
weight, and a flipped bit in their metadata can select another chunk. So every file counts here.
The same holds for decoded images.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cnnlab.storage.atomic_write import atomic_write

MANIFEST = "MANIFEST.sha256"


class DamagedError(Exception):
    """Files are not what was written; the text says which of them, and what is wrong."""


def seal(folder: Path, info: Any = None, *, ignored: Collection[str] = ()) -> None:
    """Writes the manifest of `folder`, after which any change to its files is noticed.

    Files, manifest and folder are flushed to the disk, so that a sealed folder survives a power
    cut too. The manifest appears at once and whole.

    Args:
      folder: whose files are final.
      info: JSON to keep in the manifest.
      ignored: names of files that the manifest does not cover.

    Raises:
      OSError: a file cannot be read, or the manifest cannot be written.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in (MANIFEST, *ignored):
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            files[path.relative_to(folder).as_posix()] = [path.stat().st_size, digest]
    write_protected(folder / MANIFEST, {"info": info, "files": files})
    flush(folder)


def flush(folder: Path) -> None:
    """Flushes the names of what a folder holds to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_info(folder: Path) -> Any:
    """The `info` of a sealed folder, whose other files are not looked at.

    Raises:
      DamagedError: there is no manifest, or it was changed.
    """
    return read_protected(folder / MANIFEST)["info"]


def replace_info(folder: Path, info: Any) -> None:
    """Replaces the `info` of a sealed folder; its files must still be what they were."""
    write_protected(folder / MANIFEST, read_protected(folder / MANIFEST) | {"info": info})


def check_files(folder: Path) -> list[str]:
    """Compares every file of a sealed `folder` with its manifest; returns their names.

    Files that the manifest does not name are ignored: nothing reads them.

    Raises:
      DamagedError: a file is missing, has another size or another content; or the manifest itself.
    """
    files = read_protected(folder / MANIFEST)["files"]
    for name, (size, digest) in files.items():
        try:
            with (folder / name).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
                found_size = stream.tell()
        except FileNotFoundError as error:
            raise DamagedError(f"file {name} is missing") from error
        except OSError as error:
            raise DamagedError(f"file {name} cannot be read ({error.strerror})") from error
        if found_size != size:
            raise DamagedError(f"file {name} has {found_size} bytes instead of {size}")
        if found != digest:
            raise DamagedError(f"file {name} was changed (its SHA-256 differs)")
    return list(files)


def write_protected(path: Path, value: Any) -> None:
    """Writes JSON behind a line with its SHA-256, whole or not at all, and flushes it."""
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        stream.write(protected(value))
        stream.flush()
        os.fsync(stream.fileno())


def protected(value: Any) -> bytes:
    """The content of a file that `write_protected` writes."""
    body = json.dumps(value, indent=0).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def read_protected(path: Path) -> Any:
    """The inverse of `write_protected`.

    Raises:
      DamagedError: the file is missing or was changed.
    """
    try:
        protection, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError as error:
        raise DamagedError(f"{path.name} is missing") from error
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read ({error.strerror})") from error
    if hashlib.sha256(body).hexdigest().encode() != protection:
        raise DamagedError(f"{path.name} was changed or cut short")
    return json.loads(body)
