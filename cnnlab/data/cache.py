"""Keeps decoded data sets on disk, so that they are decoded once."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cnnlab.data.source import ArraySource

Splits = Mapping[str, ArraySource]

# What is decoded to no more than this is held in memory; more is streamed.
MAX_BYTES = 2**30


def cache_dir() -> Path:
    """$CNNLAB_CACHE, or ~/.cache/cnnlab."""
    return Path(os.environ.get("CNNLAB_CACHE", "~/.cache/cnnlab")).expanduser()


def cached(key: str, decode: Callable[[], Splits]) -> Splits:
    """Returns what `decode` returns, from disk where it was stored under `key` before.

    Args:
      key: everything that the result depends on.
      decode: called where nothing is stored.
    """
    folder = cache_dir() / "data" / hashlib.sha256(key.encode()).hexdigest()[:24]
    if not folder.is_dir():
        splits = decode()
        _store(folder, splits)
        return splits
    names = sorted(path.stem.removeprefix("images-") for path in folder.glob("images-*.npy"))
    return {
        name: ArraySource(
            np.load(folder / f"images-{name}.npy", mmap_mode="r"),
            np.load(folder / f"labels-{name}.npy", mmap_mode="r"),
        )
        for name in names
    }


def _store(folder: Path, splits: Splits) -> None:
    """Writes under another name first: a killed process leaves no half of an entry."""
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent))
        for name, source in splits.items():
            np.save(temporary / f"images-{name}.npy", source.images)
            np.save(temporary / f"labels-{name}.npy", source.labels)
        temporary.rename(folder)
    except OSError:
        # No room, no right to write, or another process that was faster: the data is not kept.
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
