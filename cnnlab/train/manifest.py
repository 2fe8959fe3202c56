"""A list of all files of a finished checkpoint with their sizes and SHA-256, itself protected.

A checkpoint without damage is one whose files are byte for byte those that were written. Neither
Orbax nor the array stores under it promise that: a flipped bit in a chunk is restored as a wrong
weight, and a flipped bit in their metadata can select another chunk. So every file counts here.
"""

import hashlib
import json
import os
from pathlib import Path

MANIFEST = "MANIFEST.sha256"
_UNFINISHED = "MANIFEST.unfinished"


class DamagedError(Exception):
    """A checkpoint is not what was saved; the text says which part of it, and what is wrong."""


def seal(folder: Path) -> None:
    """Writes the manifest of `folder`, after which any change to its files is noticed.

    Files, manifest and folder are flushed to the disk, so that a sealed checkpoint survives a power
    cut too. The manifest appears at once and whole, by a rename.

    Raises:
      OSError: a file cannot be read, or the manifest cannot be written.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in (MANIFEST, _UNFINISHED):
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            files[path.relative_to(folder).as_posix()] = [path.stat().st_size, digest]
    body = json.dumps(files, indent=0).encode()
    unfinished = folder / _UNFINISHED
    with unfinished.open("wb") as stream:
        stream.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.rename(folder / MANIFEST)
    for directory in (folder, folder.parent):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_sealed(folder: Path) -> bool:
    """Whether a manifest is there; `check_files` says whether it is true."""
    return (folder / MANIFEST).exists()


def check_files(folder: Path) -> None:
    """Compares every file of a sealed `folder` with its manifest.

    Files that the manifest does not name are ignored: nothing reads them.

    Raises:
      DamagedError: a file is missing, has another size or another content; or the manifest itself.
    """
    try:
        protection, _, body = (folder / MANIFEST).read_bytes().partition(b"\n")
    except OSError as error:
        raise DamagedError(f"{MANIFEST} cannot be read ({error.strerror})") from error
    if hashlib.sha256(body).hexdigest().encode() != protection:
        raise DamagedError(f"{MANIFEST} was changed or cut short")
    for name, (size, digest) in json.loads(body).items():
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
