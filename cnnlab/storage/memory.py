"""Sizes that this machine cannot hold are refused before anything is allocated."""

import os
from pathlib import Path

from cnnlab.errors import UserError

_GROUP = Path("/sys/fs/cgroup/memory.max")  # of a container, or of a job of a cluster


def host_memory() -> int | None:
    """Bytes of memory of this machine, or of the share of its group; None if unknown."""
    sizes = []
    try:
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        sizes.append(int(_GROUP.read_text()))
    except (AttributeError, OSError, ValueError):
        pass  # another operating system, or a group without a limit
    return min(sizes, default=None)


def check_fits(num_bytes: int, what: str) -> None:
    """Raises a `UserError` if `what` takes more bytes than the machine has."""
    memory = host_memory()
    if memory is not None and num_bytes > memory:
        raise UserError(
            f"{what} takes {num_bytes / 2**30:,.1f} GiB, and this machine has "
            f"{memory / 2**30:,.1f} GiB of memory: choose smaller sizes."
        )
