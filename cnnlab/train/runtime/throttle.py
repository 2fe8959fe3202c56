"""Keeps the host from running far ahead of the device.

JAX queues calls without waiting for them. A host that has queued a minute of work shows progress
that has not happened, and reacts to SIGTERM a minute late; one that waits after each call leaves a
fast device idle.

For several virtual devices of one CPU, the host waits after each call: the collectives of some 50
queued calls would occupy all threads of XLA's pool, deadlock, and end the process after a minute.
"""

import time
from collections.abc import Callable

import jax


class Throttle:
    """Decides after which calls to wait for the device: about every half second.

    Attributes:
      seconds: seconds of work that may be queued; None means half a second, or 0 for such devices.
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
        """Whether to wait now; called after each call of the compiled step."""
        self._calls += 1
        return self._calls >= self._every

    def waited(self) -> None:
        """Must be called when the device has caught up."""
        now = self._clock()
        share = (now - self._began) / self._calls
        # At most twice as many as before: the first of the queued calls may be a compilation, and
        # one measurement is not to be trusted with minutes of work.
        self._every = max(1, min(2 * self._every, int(self.seconds / max(share, 1e-6))))
        self._began, self._calls = now, 0
