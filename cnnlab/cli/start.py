"""Entry point of `launch.py` and of the console script `cnnlab`."""

import os
import sys

# Reads only what Python has at hand: the process is replaced, and imports with it.
TUNABLES = "GLIBC_TUNABLES"
LARGE_PAGES = "glibc.malloc.hugetlb=1"


def start() -> None:
    """Runs the command line, with the memory of arrays in large pages where the system has them."""
    if wants_large_pages():
        os.environ[TUNABLES] = LARGE_PAGES
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    from cnnlab.cli.main import run

    run()


def wants_large_pages() -> bool:
    """Whether this process has to be started again for large pages.

    XLA frees the memory of a program after each call, and the C library returns it to the system,
    page by page; at the next step, each page of 4 KiB is a fault, which costs a small VGG a sixth
    of its step (docs/performance.md). glibc 2.35 and newer asks the system for pages of 2 MiB, but
    only if a variable says so before the process begins. A value that the user has set stays.
    """
    if TUNABLES in os.environ or not sys.executable:
        return False
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError, OSError):  # Windows, macOS, another C library
        return False
    return name == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 35)
