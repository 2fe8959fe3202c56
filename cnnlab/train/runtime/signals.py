"""SIGTERM and SIGINT as requests to save and stop after the current step."""

import signal
import threading
from types import FrameType

from jax.experimental import multihost_utils


class Interrupted(Exception):
    """Raised when a run has been stopped by a signal and has saved its state.

    Attributes:
      signum: the signal; a shell's exit status for it is 128 + signum.
      step: number of updates, all of which are saved.
    """

    def __init__(self, signum: int, step: int):
        name = signal.Signals(signum).name
        super().__init__(f"Stopped by {name} at step {step}; everything up to it is saved.")
        self.signum = signum
        self.step = step


class StopRequests:
    """Context that records the first SIGTERM or SIGINT instead of ending the process.

    A second SIGINT raises `KeyboardInterrupt`, for users who do not want to wait for the save.
    Outer contexts receive the signal too. Outside of the main thread, where Python allows no
    handlers, it does nothing.
    """

    _signals = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.signum: int | None = None

    def __enter__(self) -> "StopRequests":
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for signum in self._signals:
                self._previous[signum] = signal.signal(signum, self._handle)
        return self

    def arrived(self) -> bool:
        """Whether to save and stop now; called once after each call of the compiled step."""
        return self.signum is not None

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        outer = getattr(self._previous.get(signum), "__self__", None)
        if isinstance(outer, StopRequests):
            outer.signum = signum


class SharedStopRequests(StopRequests):
    """`StopRequests` for several hosts: a signal to one of them stops all after the same call.

    JAX's coordination service listens for SIGTERM and finds a call after which every host can stop.
    So SIGTERM is left to it, and SIGINT is forwarded to it.
    """

    _signals = (signal.SIGINT,)

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    def arrived(self) -> bool:
        """Whether to save and stop now; true on all hosts after the same number of calls."""
        self._calls += 1
        if not multihost_utils.reached_preemption_sync_point(self._calls):
            return False
        self.signum = self.signum or signal.SIGTERM
        return True

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        super()._handle(signum, frame)
        signal.raise_signal(signal.SIGTERM)
