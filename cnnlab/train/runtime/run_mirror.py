"""Runs in object stores: trained in a local copy, which is uploaded as it grows.

The order of an upload is what makes a run resume after a kill at any moment, on any machine. Names
that later ones rely on come first, and a checkpoint counts once its manifest is there, which comes
last.
"""

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.storage import checksums, object_store
from cnnlab.storage.checksums import CHECKSUMS
from cnnlab.storage.manifest import MANIFEST
from cnnlab.storage.mirror import Mirror
from cnnlab.storage.object_store import StoreError, is_url
from cnnlab.train.runtime import hosts
from cnnlab.train.runtime.lock import hold

# Seconds between uploads of a run that trains, and the share of the time that they may take.
_SECONDS, _SHARE = 5.0, 0.1
_TRAINING = ".training"  # locked while a process of this machine trains there
_CHECKPOINTS = "checkpoints"
_CHECKPOINT = re.compile(rf"({_CHECKPOINTS}/(?:\w+/)?\d+(?:-\d+)?)/.+")

# Of this process: the addresses of runs by the folders of their copies, and where it trains.
_addresses: dict[Path, str] = {}
_trained: dict[Path, "_Uploads"] = {}


def shown(folder: Path) -> str:
    """Returns what messages call the folder of a run: of a copy, the address."""
    return _addresses.get(folder, str(folder))


def local_run(workdir: str | os.PathLike) -> Path:
    """Returns the folder of a run; of an address, its copy, brought up to date.

    A copy in which a process of this machine trains is newer than the store, and left as it is.

    Raises:
      UserError: the store cannot be read.
    """
    if not is_url(workdir):
        return Path(workdir)
    mirror = Mirror(workdir)
    _addresses[mirror.folder] = mirror.url
    if mirror.folder not in _trained:
        with mirror.alone(), contextlib.suppress(_Trained), _training(mirror):
            mirror.pull(_sealed)
    return mirror.folder


@contextlib.contextmanager
def written_run(workdir: str | os.PathLike) -> Iterator[Path]:
    """Context in which the folder of a run may be written to; yields the folder.

    Of an address, it is a copy, which is uploaded every few seconds and on exit. An upload that
    fails is reported and tried again; on exit it is an error.

    Raises:
      UserError: there are several hosts, another process of this machine trains there, or the store
        cannot be read or written.
    """
    if not is_url(workdir):
        yield Path(workdir)
        return
    mirror = Mirror(workdir)
    if hosts.several():
        raise UserError(
            f"{mirror.url} is in an object store, where only one host can train: choose a workdir "
            "on a file system that all hosts share."
        )
    with contextlib.ExitStack() as resources:
        with mirror.alone():
            resources.enter_context(_training(mirror))
            object_store.check_writable(f"{mirror.url}/config.json")
            mirror.pull(_sealed)
            mirror.set_ahead()
        _addresses[mirror.folder] = mirror.url
        _trained[mirror.folder] = uploads = _Uploads(mirror)
        resources.callback(_trained.pop, mirror.folder)
        with uploads:
            yield mirror.folder


def upload_now(folder: Path) -> None:
    """Uploads what has changed in a folder of `written_run`, before later changes are made.

    Raises:
      StoreError: the store cannot be written.
    """
    if folder in _trained:
        _trained[folder].upload()


class _Trained(UserError):
    """Another process of this machine trains in the copy."""


@contextlib.contextmanager
def _training(mirror: Mirror) -> Iterator[None]:
    try:
        lock = hold(mirror.root / _TRAINING)
    except UserError as error:
        raise _Trained(str(error).replace(str(mirror.root), mirror.url)) from error
    with lock:
        yield


def _sealed(names: Collection[str]) -> set[str]:
    """The names without those of checkpoints whose upload was not completed."""
    return {
        name
        for name in names
        if (folder := _checkpoint(name)) is None or f"{folder}/{MANIFEST}" in names
    }


def _checkpoint(name: str) -> str | None:
    """Name of the checkpoint that a file belongs to."""
    found = _CHECKPOINT.fullmatch(name)
    return found and found[1]


class _Uploads:
    """Uploads what changes in a copy, in a thread, until the context ends."""

    def __init__(self, mirror: Mirror):
        self._mirror = mirror
        self._known = mirror.known()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self.upload(last=True)
        except StoreError as error:
            sentence = f"{error} The files that it lacks are in {self._mirror.folder}"
            if kind is None:
                raise StoreError(f"{sentence}; the same command uploads them.") from error
            _warn(f"{sentence}.")

    def _run(self) -> None:
        pause, reported = _SECONDS, ""
        while not self._ended.wait(pause):
            began = time.monotonic()
            try:
                self.upload()
                reported = ""
            except (StoreError, OSError) as error:
                if str(error) != reported:
                    reported = str(error)
                    _warn(f"{reported} Training continues, and the upload is tried again.")
            pause = max(_SECONDS, (time.monotonic() - began) / _SHARE)

    def upload(self, *, last: bool = False) -> None:
        """Uploads what has changed since the last time, and removes what is no longer there."""
        with self._lock:
            self._upload(last)

    def _upload(self, last: bool) -> None:
        mirror, known = self._mirror, self._known
        # That of the result first: so what was written before it is seen to have changed, too.
        names = sorted(mirror.names(), key=lambda name: name != "result.json")
        stamps = {n: stamp for n in names if _counts(n) and (stamp := mirror.stamp(n))}
        changed = {n for n, stamp in stamps.items() if n not in known or known[n].stamp != stamp}
        gone = known.keys() - stamps.keys()
        if changed or gone:
            # A seal that changed binds its checkpoint to a config that comes after it, too.
            seals = {n for n in changed & known.keys() if _checkpoint(n) and n.endswith(MANIFEST)}
            incomplete = set() if self._send(seals) else seals
            self._send_files_of_run(changed, gone)
            for folder in sorted({found for n in changed - seals if (found := _checkpoint(n))}):
                files = {n for n in changed - seals if _checkpoint(n) == folder}
                seal = files & {f"{folder}/{MANIFEST}"}
                if not (self._send(files - seal) and self._send(seal)):
                    incomplete |= files
            # Seals first, so that no half of a checkpoint counts.
            object_store.remove(mirror.url, sorted(gone, key=lambda n: not n.endswith(MANIFEST)))
            stamps = {n: stamp for n, stamp in stamps.items() if n not in incomplete}
        if changed or gone or last:
            mirror.settle(stamps, ahead=not last)
            self._known = mirror.known()

    def _send(self, names: Iterable[str]) -> bool:
        """Uploads files of a checkpoint; returns whether they were still there."""
        try:
            object_store.upload(self._mirror.url, {n: self._mirror.folder / n for n in names})
        except FileNotFoundError:
            return False
        return True

    def _send_files_of_run(self, changed: Collection[str], gone: Collection[str]) -> None:
        """Uploads files beside the checkpoints; their checksums hold at any moment."""
        url = self._mirror.url
        contents = self._snapshot([n for n in changed if not _checkpoint(n)])
        sums = contents.pop(CHECKSUMS, None)
        if sums is not None and CHECKSUMS in self._known:
            # Until all are there, those that are replaced are not compared.
            object_store.upload(url, {CHECKSUMS: checksums.without(sums, contents)})
        # Where the run is trained longer, the old result goes before the new config comes, and the
        # new result comes after it: no config lies beside the result of another.
        replaced = {"config.json"} & contents.keys() & self._known.keys()
        config = {name: contents.pop(name) for name in replaced}
        old_result = {"result.json"} & self._known.keys() if config else set()
        object_store.remove(url, old_result.union(n for n in gone if not _checkpoint(n)))
        object_store.upload(url, config)
        result = {name: contents.pop(name) for name in {"result.json"} & contents.keys()}
        object_store.upload(url, contents)
        # A run with a result is complete, so its rows are there before.
        object_store.upload(url, result)
        if sums is not None:
            object_store.upload(url, {CHECKSUMS: sums})

    def _snapshot(self, names: Collection[str]) -> dict[str, bytes]:
        """Contents of files, with the checksums that they had together."""
        folder = self._mirror.folder
        while True:
            contents = {}
            sums = _content(folder / CHECKSUMS)
            for name in names:
                contents[name] = _content(folder / name)
            if _content(folder / CHECKSUMS) == sums:
                # Also where they have changed since the names were listed.
                contents[CHECKSUMS] = sums
                return {name: content for name, content in contents.items() if content is not None}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _counts(name: str) -> bool:
    """Whether a file is uploaded: not locks, nor what is being written or removed."""
    if _checkpoint(name) is not None:
        return True
    return not name.startswith((".", f"{_CHECKPOINTS}/"))


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)
