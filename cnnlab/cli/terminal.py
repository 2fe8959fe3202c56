"""What is printed: control characters are shown and not obeyed, and a closed pipe ends the command.

A name of a class or a file may hold the escapes that move a terminal's cursor, or set its title.
"""

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO

from cnnlab.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

_MOVES = re.compile(r"(\r|\n|\x1b\[A)*")  # of progress bars


class Output:
    """Standard output or error as the program sees it; everything goes through `visible`.

    Where nobody reads any more, or the disk is full, the command is asked to stop as by Ctrl-C.

    Attributes:
      stream: where it goes.
      is_broken: whether a write has failed.
    """

    def __init__(self, stream: TextIO, *, progress_bars: bool = False):
        """Wraps a stream, on which `progress_bars` may move the cursor."""
        self.stream, self.is_broken, self._bars = stream, False, progress_bars

    def write(self, text: str) -> int:
        """Writes text; never raises an `OSError`."""
        start = _MOVES.match(text).end() if self._bars and text[:1] == "\r" else 0
        moves = self._bars and _MOVES.fullmatch(text)
        shown = text if moves else text[:start] + visible(text[start:])
        self._try(self.stream.write, shown)
        return len(text)

    def flush(self) -> None:
        """Likewise."""
        self._try(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _try(self, call: Any, *arguments: str) -> None:
        try:
            call(*arguments)
        except OSError as error:
            # Python flushes what is left at its end, and would complain once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            self.is_broken = True
            if not isinstance(error, BrokenPipeError):
                print(f"error: The output cannot be written: {error.strerror}.", file=sys.stderr)
            signal.raise_signal(signal.SIGINT)


def console() -> "Console":
    """For tables on standard output, in colour on a terminal; cells must be `visible`."""
    from rich.console import Console  # help needs none of it

    class Shown(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(visible(x) if isinstance(x, str) else x for x in objects), **options)

    return Shown(file=getattr(sys.stdout, "stream", sys.stdout))


def open_standard_streams() -> None:
    """Opens what was closed, e.g. by `>&-`, so that no file takes the place of standard output."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
