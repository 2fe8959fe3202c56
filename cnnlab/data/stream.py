"""Computes items ahead of their use, in threads or processes, in order."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags

# Seconds that a worker process lives on after SIGTERM.
_GRACE = 10.0


def stream(make: Callable[[int], Any], count: int, num_workers: int) -> Iterator[Any]:
    """Yields `make(0)`, ..., `make(count - 1)` in order, while later ones are computed.

    Args:
      make: called in a thread, or in a process with a copy of it; its exceptions are raised when
        the item is requested.
      count: number of items.
      num_workers: number of processes; 0 uses threads.
    """
    import grain  # here: data in memory, which most small sets are, start without it

    items = grain.MapDataset.range(count).map(make)
    if num_workers:
        if not flags.FLAGS.is_parsed():
            # grain's processes read absl flags, which only programs under `app.run` have parsed.
            flags.FLAGS.mark_as_parsed()
        options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        workers = grain.MultiprocessingOptions(num_workers=num_workers)
        items = items.to_iter_dataset(options).mp_prefetch(workers, worker_init_fn=_prepare_worker)
    else:
        # PIL decodes without Python's lock, mostly; with more threads they wait for it.
        threads = min(_cores(), 8)
        items = items.to_iter_dataset(grain.ReadOptions(threads, 2 * threads))
    iterator = iter(items)
    try:
        with _no_signals() if num_workers else contextlib.nullcontext():
            first = list(itertools.islice(iterator, 1))
        yield from first
        yield from iterator
    finally:
        iterator.close()


def _cores() -> int:
    """Number of cores that this process may use; cluster jobs have a share of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


# Terminals and schedulers signal all processes of a run; the one that trains still has to save.
_SIGNALS = {signal.SIGINT, signal.SIGTERM}


@contextlib.contextmanager
def _no_signals() -> Iterator[None]:
    """Starts processes with signals blocked until they are prepared."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare_worker(worker_index: int, worker_count: int) -> None:
    """Lets a worker process ignore signals and end with its parent process."""
    del worker_index, worker_count
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end_after(lambda: time.sleep(_GRACE)))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    _end_after(multiprocessing.parent_process().join)


def _end_after(wait: Callable[[], Any]) -> None:
    """Ends this process when `wait` returns, in a thread of its own."""

    def end() -> None:
        wait()
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
