"""Prefetches input, and measures how long the devices waited for it."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

# How often a waiting consumer looks whether the devices are idle by now; seconds.
_LOOK_EVERY = 0.002


class Prefetched:
    """Computes the items of a generator a few ahead of their use, in a thread, until closed.

    The items of a feed are batches on the devices, so this copies the next batch while the current
    one is computed. It changes neither order nor content.

    Attributes:
      while_waiting: called repeatedly while a requested item is not ready.
    """

    def __init__(self, items: Generator[Any, None, None], *, ahead: int = 2):
        """Starts at once; at most `ahead` + 1 items are computed before they are requested."""
        self.while_waiting: Callable[[], None] = lambda: None
        self._items, self._thread = items, ThreadPoolExecutor(1)
        self._coming = deque(self._thread.submit(next, items) for _ in range(ahead + 1))

    def __iter__(self) -> "Prefetched":
        return self

    def __next__(self) -> Any:
        item = self._coming[0]
        while not wait([item], _LOOK_EVERY).done:
            self.while_waiting()
        if item.exception() is None:  # else it stays for whoever asks again
            self._coming.popleft()
            self._coming.append(self._thread.submit(next, self._items))
        return item.result()

    def close(self) -> None:
        """Ends the thread and closes the generator once its current item is computed."""
        self._thread.shutdown(cancel_futures=True)
        # An exception on its way to the user keeps this object, and the worker processes that the
        # generator would end, alive until Python exits, which is too late for them to clean up.
        self._items.close()

    def __del__(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


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
