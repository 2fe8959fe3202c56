"""Replaces JAX's C++ stack by one sentence when a process of several hosts is aborted.

JAX's coordination service ends a process with abort() when the others cannot be reached, before
Python can report anything. So this program, which imports nothing, runs beside the process as a
filter of its standard error. When that ends after an abort, it prints the last words that the
process has left.

A line that begins with `CONTROL` is for this program: the last words, or empty for the end.
"""

import re
import signal
import sys

CONTROL = "\0last words: "
# Messages of the coordination service, which say the same at length, and how their lines go on.
_NOISE = re.compile(r"[IWEF]\d{4} .*(coordination_service|preemption_|client\.h:)")
_GOES_ON = re.compile(r"[\s:\d]|Additional GRPC|RPC:|The tasks |This suggests|Barrier|[A-Z]+: ")
_FATAL = re.compile(r"F\d{4} .*client\.h:\d+\] Terminating process because the JAX distributed")


def main() -> None:
    """Copies standard input to standard output until it ends."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)  # schedulers signal all processes of a job
    sys.stdin.reconfigure(errors="replace")
    words, said, fatal, muted = "", False, False, False
    for line in iter(sys.stdin.readline, ""):
        if line == CONTROL + "\n":
            break
        if line.startswith(CONTROL):
            words = line.removeprefix(CONTROL)
            continue
        fatal = fatal or bool(_FATAL.match(line))
        muted = fatal or bool(_NOISE.match(line) or (muted and _GOES_ON.match(line)))
        if not muted and not (said and line == words):
            said = said or line == words
            sys.stdout.write(line)
            sys.stdout.flush()
    if fatal and not said:
        sys.stdout.write(words)


if __name__ == "__main__":
    main()
