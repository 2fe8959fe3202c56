"""Dispatches `launch.py COMMAND [FLAGS] [ARGUMENTS]`.

Each command is a module of this package with a docstring (its help), `define_flags` and `run`.
"""

import errno
import importlib
import os
import shutil
import sys
from pathlib import Path

from absl import flags, logging

from cnnlab.cli.config_flags import split_overrides
from cnnlab.cli.help import command_help, program_help
from cnnlab.errors import UserError, did_you_mean

COMMANDS = (
    "train",
    "eval",
    "predict",
    "summary",
    "list",
    "prepare",
    "find_lr",
    "sweep",
    "pbt",
    "features",
    "benchmark",
    "export",
    "analyze",
    "report",
    "course",
)
_HELP = frozenset({"--help", "-help", "-h", "--h", "help"})


def run() -> None:
    """Entry point of `launch.py` and of the console script `cnnlab`."""
    sys.exit(main(sys.argv))


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit status, 0 only on success.

    A user's mistake is one sentence on standard error and status 1; a run stopped by a signal has
    saved its state, and the status is 128 plus the signal's number, as shells have it.
    """
    # What libraries warn of is noise to a user; what a run has to say goes through its display.
    logging.set_verbosity(logging.ERROR)
    name, rest = (argv[1], argv[2:]) if len(argv) > 1 else ("train", [])
    if name.startswith("-") and name not in _HELP:
        name, rest = "train", argv[1:]
    try:
        if name in _HELP:
            print(program_help(COMMANDS))
            return 0
        if name not in COMMANDS:
            raise UserError(f"Unknown command '{name}'.{did_you_mean(name, COMMANDS)}")
        return _run_command(name, rest)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except flags.Error as error:
        print(f"error: {error} See 'launch.py {name} --help'.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has left, e.g. `| head`; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(f"error: {_storage_error(error)}", file=sys.stderr)
        return 1


def _run_command(name: str, rest: list[str]) -> int:
    module = importlib.import_module(f"cnnlab.cli.{name}")
    values = flags.FlagValues()
    module.define_flags(values)
    if _HELP & set(rest):
        print(command_help(module, values))
        return 0
    rest, overrides = split_overrides(rest)
    if overrides and "config" not in values:
        raise UserError(f"'{name}' takes no --config.* flags.")
    positional = values(["launch.py", *rest])[1:]
    return module.run(values, overrides, positional)


def _storage_error(error: OSError) -> str:
    # A write that fails half-way does not know its file's name; relative runs are below here.
    place = Path(error.filename or ".").absolute()
    there = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(there).free / 2**20
    what = f"{place}: " if error.filename else ""
    return f"{what}{error.strerror} ({free:.0f} MiB free on the disk of {there})."
