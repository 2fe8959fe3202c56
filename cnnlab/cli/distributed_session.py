"""Joins the other hosts of a command, and ends processes that have joined."""

import contextlib
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

from absl import flags

from cnnlab.cli import stderr_filter
from cnnlab.errors import UserError
from cnnlab.train.runtime import hosts
from cnnlab.visible import visible


@contextlib.contextmanager
def together(values: flags.FlagValues) -> Iterator[None]:
    """Context that joins the other hosts with `--distributed`, and else does nothing.

    A process that fails ends at once: JAX would wait for the other hosts, which wait for this one.
    """
    given = [name for name in ("coordinator", "num_processes", "process_index")
             if values[name].value is not None]  # fmt: skip
    if not values.distributed:
        if given:
            raise UserError(f"--{given[0]} is for several hosts: add --distributed.")
        yield
        return
    addresses = values.coordinator, values.num_processes, values.process_index
    hosts.check_addresses(*addresses)
    with _LastWords() as words:
        words.leave(
            f"error: The hosts did not find each other within {hosts.JOIN_SECONDS} s. Is every "
            "process started, each with its own --process_index, all with the same "
            "--num_processes and a --coordinator that they can reach?"
        )
        try:
            hosts.join(*addresses)
            words.leave("error: " + hosts.LOST)
            if not hosts.is_first():
                print("Joined; the process with index 0 reports progress.", flush=True)
            yield
            hosts.leave()
        except UserError as error:
            words.say(f"error: {error}")
            words.end_process(1)
        except KeyboardInterrupt:
            words.end_process(130)
        except Exception:
            traceback.print_exc()
            words.end_process(1)


class _LastWords:
    """Context in which standard error passes through `cnnlab.cli.stderr_filter`."""

    def __enter__(self) -> "_LastWords":
        sys.stderr.flush()
        self._stderr = os.dup(2)
        self._process = subprocess.Popen(
            [sys.executable, "-S", stderr_filter.__file__],
            stdin=subprocess.PIPE,
            stdout=self._stderr,
            start_new_session=True,
        )
        os.dup2(self._process.stdin.fileno(), 2)
        self._process.stdin.close()
        return self

    def __exit__(self, *exception: object) -> None:
        sys.stderr.flush()
        os.dup2(self._stderr, 2)
        os.close(self._stderr)
        self._wait()

    def leave(self, sentence: str) -> None:
        """Sets the sentence that is printed if the process is aborted later."""
        os.write(2, f"{stderr_filter.CONTROL}{sentence}\n".encode())

    def say(self, sentence: str) -> None:
        """Prints a sentence that may be the one that was left; it is seen once."""
        sys.stderr.flush()
        # One write, newline included: `print` makes two, and what JAX's threads log between them
        # would join the line, which the filter then does not recognise.
        os.write(2, f"{visible(sentence)}\n".encode())

    def end_process(self, status: int) -> NoReturn:
        """Ends the process without waiting for anything but its output."""
        sys.stdout.flush()
        sys.stderr.flush()
        self.leave("")
        self._wait()
        os._exit(status)

    def _wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)  # not for ever: children of this process may live on
