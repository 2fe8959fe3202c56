"""Caches decoded data sets on disk."""

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from absl import logging

from cnnlab.data.source import ArraySource
from cnnlab.storage import manifest
from cnnlab.storage.user_cache import cache_dir

Splits = Mapping[str, ArraySource]

# What is decoded to no more than this is held in memory; more is streamed.
MAX_BYTES = 2**30

_TEMPORARY = ".unfinished-"
_ABANDONED_SECONDS = 24 * 3600


def cached(key: str, decode: Callable[[], Splits]) -> Splits:
    """Returns the result of `decode`, from disk if it is stored under `key`.

    Every file is verified by its SHA-256. An entry with a missing, truncated or changed file is
    decoded and stored again, with a warning.

    Args:
      key: everything that the result depends on.
      decode: called if nothing intact is stored.
    """
    folder = cache_dir() / "data" / hashlib.sha256(key.encode()).hexdigest()[:24]
    if folder.exists():
        try:
            return _load(folder)
        except manifest.DamagedError as error:
            logging.warning(
                "%s, a copy of decoded images, is damaged: %s. They are decoded again.",
                folder,
                error,
            )
    splits = decode()
    _store(folder, splits)
    return splits


def _load(folder: Path) -> Splits:
    names = manifest.check_files(folder)
    splits = [name[len("images-") : -len(".npy")] for name in names if name.startswith("images-")]
    return {
        split: ArraySource(
            np.load(folder / f"images-{split}.npy", mmap_mode="r"),
            np.load(folder / f"labels-{split}.npy", mmap_mode="r"),
        )
        for split in splits
    }


def _store(folder: Path, splits: Splits) -> None:
    """Replaces an entry atomically, by writing under another name first."""
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder.parent))
        for name, source in splits.items():
            np.save(temporary / f"images-{name}.npy", source.images)
            np.save(temporary / f"labels-{name}.npy", source.labels)
        manifest.seal(temporary)
        if folder.exists():
            # Processes that have mapped the damaged files keep them until they end.
            folder.rename(temporary.with_name(f"{temporary.name}-replaced"))
        temporary.rename(folder)
    except OSError:
        # No room, no right to write, or another process that was faster: the data is not kept.
        pass
    finally:
        if temporary is not None:
            for path in folder.parent.glob(f"{temporary.name}*"):
                _remove(path)


def _remove_abandoned(parent: Path) -> None:
    """Removes leftovers of processes that were killed while storing an entry."""
    for path in parent.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
