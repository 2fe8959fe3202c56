"""Atomic writes of files."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


def temporary_name(name: str) -> str:
    """Name under which a file is written; of `*`, the pattern of all of them."""
    return f".{name}.tmp"


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path that atomically replaces `path` on exit.

    Readers always find the old file or the new one, also after a crash.

    >>> with atomic_write(folder / "study.html") as temporary:
    ...     temporary.write_text(page)
    """
    temporary = path.with_name(temporary_name(path.name))
    yield temporary
    temporary.replace(path)
