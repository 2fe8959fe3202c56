"""Prefetches input, and measures how long the devices waited for it."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

# How often a waiting consumer looks whether the devices are idle by now; seconds.
_LOOK_EVERY = 0.002


class Prefetched:
    """Computes the items of an iterator a few ahead of their use, in a thread, until closed.

    The items of a feed are batches on the devices, so this copies the next batch while the current
    one is computed. It changes neither order nor content.

    Attributes:
      while_waiting: called repeatedly while a requested item is not ready.
    """

    def __init__(self, items: Iterator[Any], *, ahead: int = 2):
        """Starts at once; at most `ahead` + 1 items are computed before they are requested."""
        self.while_waiting: Callable[[], None] = lambda: None
        self._queue: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(ahead)
        self._closed = threading.Event()
        # A function, not a method: a thread that knew this object would keep it for ever.
        self._thread = threading.Thread(
            target=_make, args=(items, self._queue, self._closed), daemon=True
        )
        self._thread.start()

    def __iter__(self) -> "Prefetched":
        return self

    def __next__(self) -> Any:
        while True:
            try:
                item, error = self._queue.get(timeout=_LOOK_EVERY)
                break
            except queue.Empty:
                self.while_waiting()
        if error is not None:
            self._queue.put((None, error))  # for whoever asks again: nothing comes after it
            raise error
        return item

    def close(self) -> None:
        """Ends the thread and releases the iterator once its current item is computed."""
        self._closed.set()
        self._thread.join()

    def __del__(self) -> None:
        self._closed.set()


def _make(items: Iterator[Any], made: queue.Queue, closed: threading.Event) -> None:
    """Puts (item, None) for each item, and (None, error) for its end, until closed."""

    def put(item: Any, error: BaseException | None) -> None:
        while not closed.is_set():
            try:
                return made.put((item, error), timeout=0.05)
            except queue.Full:
                continue

    try:
        for item in items:
            put(item, None)
            if closed.is_set():
                return
        put(None, StopIteration())
    except BaseException as error:  # raised anew where the item is asked for
        put(None, error)


class InputClock:
    """Iterates over a feed and measures how long the devices were idle without input.

    Waiting costs nothing while the devices still compute, so only the time after they are done
    counts.

    Attributes:
      seconds: idle seconds since the last `take`.
    """

    def __init__(self, feed: Iterator[Any], devices_idle: Callable[[], bool]):
        self.seconds = 0.0
        self._feed, self._idle = feed, devices_idle
        self._idle_since: float | None = None
        if isinstance(feed, Prefetched):
            feed.while_waiting = self._look

    def __iter__(self) -> "InputClock":
        return self

    def __next__(self) -> Any:
        return self.measure(lambda: next(self._feed))

    def measure(self, make: Callable[[], Any]) -> Any:
        """Returns `make()` and counts the time in which the devices are idle meanwhile."""
        self._idle_since = None
        self._look()
        item = make()
        if self._idle_since is not None:
            self.seconds += time.monotonic() - self._idle_since
        return item

    def take(self) -> float:
        """Returns the seconds so far and resets the count."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def _look(self) -> None:
        if self._idle_since is None and self._idle():
            self._idle_since = time.monotonic()
