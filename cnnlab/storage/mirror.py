"""Local copies of folders in object stores.

Everything else in the package works on files. So the objects under an address are copied to
`$CNNLAB_CACHE/stores`, and later only those that have changed. The store decides: files that only
the copy has are removed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cnnlab.errors import UserError
from cnnlab.storage import object_store
from cnnlab.storage.atomic_write import atomic_write, temporary_name
from cnnlab.storage.object_store import Listed, is_url, list_files, located
from cnnlab.storage.user_cache import cache_dir

_STATE = "state.json"
_LOCK = ".lock"
# How often objects are listed again because they changed while they were copied.
_TRIES = 4
# Copies of more bytes are announced.
_LARGE = 2**26

# What identifies the content of a local file without reading it: inode, size, time of change.
_Stamp = tuple[int, int, int]


class Copied(NamedTuple):
    """An object as the store listed it, and the local file of the same content, if there is one."""

    listed: Listed
    stamp: _Stamp | None


class Mirror:
    """The local copy of all objects below one address.

    Attributes:
      url: the address.
      root: holds the copy and what is known of it.
      folder: the copy, under the last part of the address.
    """

    def __init__(self, url: str | os.PathLike):
        """Reads and writes nothing; raises a `UserError` for an impossible address."""
        self.url = str(located(url))
        digest = hashlib.sha256(self.url.encode("utf-8", "surrogateescape")).hexdigest()
        self.root = cache_dir() / "stores" / digest[:24]
        self.folder = self.root / self.url.rpartition("/")[2]

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Context that waits for other processes of this machine that use the copy in it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / _LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def pull(self, counts: Callable[[Collection[str]], set[str]] = set) -> int:
        """Makes the copy equal to the store, or keeps one that is ahead of it; see `set_ahead`.

        Called within `alone`.

        Args:
          counts: returns those of the store's names that belong to the copy.

        Returns:
          The number of objects below the address.

        Raises:
          UserError: the store cannot be read, or the local disk is too small.
        """
        found = list_files(self.url)
        ahead, known = self._read()
        if ahead and found == {name: copied.listed for name, copied in known.items()}:
            return len(found)
        for _ in range(_TRIES):
            names = counts(found)
            stale = self._stale({name: found[name] for name in names}, known)
            self._remove_others(names)
            try:
                self._download(stale, found)
            except FileNotFoundError:  # removed since it was listed
                found = list_files(self.url)
                continue
            known = {
                name: Copied(listed, self.stamp(name) if name in names else None)
                for name, listed in found.items()
            }
            self._write(known, ahead=False)
            if not stale:
                break
            again = list_files(self.url)
            if again == found:
                break
            found = again
        return len(found)

    def known(self) -> Mapping[str, Copied]:
        """What the store held, by name, when the copy was last equal to it."""
        return self._read()[1]

    def set_ahead(self) -> None:
        """From now on the copy is written to, and is not replaced by a store that is as it was."""
        self._write(self.known(), ahead=True)

    def settle(self, stamps: Mapping[str, _Stamp], *, ahead: bool) -> None:
        """Records that local files of these stamps have been uploaded.

        Args:
          stamps: of the files that are in the store as they are here, by name.
          ahead: whether the copy goes on being written to.
        """
        found = list_files(self.url)
        self._write({n: Copied(listed, stamps.get(n)) for n, listed in found.items()}, ahead=ahead)

    def stamp(self, name: str) -> _Stamp | None:
        """The stamp of a local file; None if there is none."""
        try:
            status = (self.folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def names(self) -> list[str]:
        """Names of the local files."""
        return [
            Path(folder, name).relative_to(self.folder).as_posix()
            for folder, _, names in os.walk(self.folder)
            for name in names
        ]

    def _stale(self, found: Mapping[str, Listed], known: Mapping[str, Copied]) -> list[str]:
        """Names of which the copy lacks the content that the store has."""
        for name in found:
            if {".", ".."} & set(name.split("/")) or name != str(PurePosixPath(name)):
                raise UserError(f"{self.url}/{name} cannot be a file here: rename it there.")
        return [
            name
            for name, listed in found.items()
            if (copied := known.get(name)) is None
            or copied.listed != listed
            or copied.stamp is None
            or copied.stamp != self.stamp(name)
        ]

    def _download(self, names: Collection[str], found: Mapping[str, Listed]) -> None:
        num_bytes = sum(found[name].size for name in names)
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if num_bytes > free:
            raise UserError(
                f"The copy of {self.url} takes {num_bytes / 2**20:,.1f} MiB, and the disk of "
                f"{cache_dir()} has {free / 2**20:,.1f} MiB left: set CNNLAB_CACHE to a folder on "
                "another disk."
            )
        if num_bytes > _LARGE:
            print(
                f"Copying {len(names):,} files, {num_bytes / 2**20:,.0f} MiB, from {self.url}.",
                file=sys.stderr,
            )
        temporary = {}
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary[name] = path.with_name(temporary_name(path.name))
        object_store.download(self.url, temporary)
        for name, path in temporary.items():
            path.replace(self.folder / name)

    def _remove_others(self, names: Collection[str]) -> None:
        for name in set(self.names()).difference(names):
            (self.folder / name).unlink(missing_ok=True)
        for folder, _, _ in os.walk(self.folder, topdown=False):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(folder)

    def _read(self) -> tuple[bool, dict[str, Copied]]:
        """Whether the copy is ahead of the store, and what is known of both."""
        try:
            state = json.loads((self.root / _STATE).read_bytes())
        except (FileNotFoundError, ValueError):  # it holds nothing that cannot be found again
            return False, {}
        files = {
            name: Copied(Listed(*listed), tuple(stamp) if stamp else None)
            for name, (listed, stamp) in state["files"].items()
        }
        return state["ahead"], files

    def _write(self, files: Mapping[str, Copied], *, ahead: bool) -> None:
        state: dict[str, Any] = {"url": self.url, "ahead": ahead, "files": files}
        with atomic_write(self.root / _STATE) as temporary:
            temporary.write_text(json.dumps(state))


def local_data(path: str) -> Path:
    """Returns a folder or a CSV file of the user's; of an address, its copy, brought up to date.

    With a CSV file, the folder that it lies in is copied.

    Raises:
      UserError: nothing lies under the address, or it cannot be read.
    """
    if not is_url(path):
        return Path(path).expanduser()
    url = str(located(path))
    folder, _, name = url.rpartition("/")
    table = name.lower().endswith(".csv")
    mirror = Mirror(folder if table else url)
    with mirror.alone():
        if not mirror.pull():
            raise UserError(f"There is nothing under {mirror.url}: correct the address.")
    return mirror.folder / name if table else mirror.folder
