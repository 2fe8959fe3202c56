"""The flags with which hosts meet, and how a process that met others ends."""

import contextlib
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

from absl import flags

from cnnlab.cli import last_words
from cnnlab.errors import UserError


def define_host_flags(values: flags.FlagValues) -> None:
    """Defines `--distributed` and the flags that go with it."""
    flags.DEFINE_bool(
        "distributed",
        False,
        "Train together with the other hosts that run this command; see docs/scale.md.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "coordinator",
        None,
        "HOST:PORT of the process with index 0. This and the next two are found by themselves "
        "under SLURM, on TPU pods, in Kubernetes and with Open MPI.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_processes", None, "How many processes there are, one a host.", flag_values=values
    )
    flags.DEFINE_integer(
        "process_index", None, "Which of them this one is, from 0.", flag_values=values
    )


@contextlib.contextmanager
def together(values: flags.FlagValues) -> Iterator[None]:
    """With `--distributed`, joins the other hosts while entered; else does nothing.

    A process that fails ends at once: JAX would wait for the other hosts, which wait for this one.
    """
    given = [name for name in ("coordinator", "num_processes", "process_index")
             if values[name].value is not None]  # fmt: skip
    if not values.distributed:
        if given:
            raise UserError(f"--{given[0]} is for several hosts: add --distributed.")
        yield
        return
    from cnnlab.train import hosts

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
            words.leave("error: " + hosts.lost_host("this one ends too"))
            if not hosts.is_first():
                print("Joined; what happens is told by the process with index 0.", flush=True)
            yield
            hosts.leave()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            words.end_process(1)
        except KeyboardInterrupt:
            words.end_process(130)
        except Exception:
            traceback.print_exc()
            words.end_process(1)


class _LastWords:
    """Leads standard error through `cnnlab.cli.last_words` while entered."""

    def __enter__(self) -> "_LastWords":
        sys.stderr.flush()
        self._stderr = os.dup(2)
        self._process = subprocess.Popen(
            [sys.executable, "-S", last_words.__file__],
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
        """Leaves the sentence to be printed where the process is aborted from now on."""
        os.write(2, f"{last_words.CONTROL}{sentence}\n".encode())

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
