"""Keeps the host from running far ahead of the device.

JAX queues calls without waiting for them. A host that has queued a minute of work shows a progress
that is not there, and answers SIGTERM a minute late; one that waits after each call leaves a fast
device idle in between.

Several devices of one CPU are waited for after each call: collectives of some 50 queued calls take
all threads of XLA's pool, wait there for one another, and end the process after a minute.
"""

import time
from collections.abc import Callable

import jax


class Pace:
    """Says after which calls to wait for the device: about every half a second.

    Attributes:
      seconds: of work that may be queued; None takes half a second, or none for such devices.
    """

    def __init__(
        self, seconds: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ):
        if seconds is None:
            shared = jax.default_backend() == "cpu" and jax.local_device_count() > 1
            seconds = 0.0 if shared else 0.5
        self.seconds = seconds
        self._clock = clock
        self._began = clock()
        self._calls = 0
        self._every = 1

    def wait_is_due(self) -> bool:
        """To be asked after each call; how long a call takes is known from the waits before."""
        self._calls += 1
        return self._calls >= self._every

    def waited(self) -> None:
        """To be told when the device has caught up."""
        now = self._clock()
        share = (now - self._began) / self._calls
        # At most twice as many as before: the first of the queued calls may be a compilation, and
        # one measurement is not to be trusted with minutes of work.
        self._every = max(1, min(2 * self._every, int(self.seconds / max(share, 1e-6))))
        self._began, self._calls = now, 0
