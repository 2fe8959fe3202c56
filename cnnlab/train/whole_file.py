"""Files that are written whole or not at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; what lies there takes its place at the end.

    Whoever reads meanwhile, and whoever comes after a crash, finds the old file or the new one.

    >>> with whole_file(folder / "study.html") as temporary:
    ...     temporary.write_text(page)
    """
    temporary = path.with_name(f".{path.name}.tmp")
    yield temporary
    temporary.replace(path)
