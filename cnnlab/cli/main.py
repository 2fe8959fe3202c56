"""Dispatches `launch.py COMMAND [FLAGS] [ARGUMENTS]`.

Each command is two modules: `cnnlab.cli.flags.NAME` with its help (the docstring) and
`define_flags`, and `cnnlab.cli.commands.NAME` with `run`, which is imported only to run it: help
is printed without jax.
"""

import contextlib
import errno
import importlib
import os
import re
import shutil
import sys
from pathlib import Path

from absl import flags, logging

from cnnlab.cli.config_flags import split_overrides
from cnnlab.cli.flag_definer import FlagDefiner
from cnnlab.cli.help import command_help, program_help
from cnnlab.cli.terminal import Output, open_standard_streams
from cnnlab.config import Config
from cnnlab.errors import UserError, did_you_mean
from cnnlab.plugins import PluginError, given_plugins
from cnnlab.program import program

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
    "results",
    "course",
)
# Commands that take more than flags.
_WITH_ARGUMENTS = frozenset(
    {"analyze", "course", "features", "list", "predict", "report", "results"}
)
# Commands that read neither runs nor configs.
_WITHOUT_PLUGINS = frozenset({"course", "prepare"})
# Errors of the user's files and disks; others are faults of the program.
_OF_FILES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENOENT,
     errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.EIO}
)  # fmt: skip
_HELP = frozenset({"--help", "-help", "-h", "--h", "help"})


def run() -> None:
    """Runs the command that the arguments of this process name, and ends it."""
    open_standard_streams()
    sys.exit(main(sys.argv))


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit status, 0 only on success.

    A user's mistake is one sentence on standard error and status 1; a run stopped by a signal has
    saved its state, and the status is 128 plus the signal's number, as shells have it. Where
    nobody reads the output any more, as behind `| head`, that is what Ctrl-C does.
    """
    # What libraries warn of is noise to a user; what a run has to say goes through its display.
    logging.set_verbosity(logging.ERROR)
    if len(argv) > 1:
        name, rest = argv[1], argv[2:]
    else:
        # Bare `launch.py` is the first try in a clone; `cnnlab` can be called in any folder.
        name, rest = ("train" if Path(argv[0]).name == "launch.py" else "help"), []
    if name.startswith("-") and name not in _HELP:
        name, rest = "train", argv[1:]
    output, errors = Output(sys.stdout), Output(sys.stderr, progress_bars=True)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status, sentence = _dispatch(name, rest), ""
            output.flush()
            if output.is_broken:  # and SIGINT is ignored, as in the background of a script
                status = 130
        except KeyboardInterrupt:
            status, sentence = 130, "" if output.is_broken else "Interrupted."
        except Exception as error:
            status, sentence = 1, _sentence(error, name)
            if not sentence:
                raise
            sentence = f"error: {sentence}"
        if sentence:
            print(sentence, file=sys.stderr)
    return status


def _sentence(error: Exception, command: str) -> str:
    """What to say of an error that the user can do something about; empty for a fault of ours."""
    if isinstance(error, PluginError):
        return f"{str(error)[:-1]} with --plugins=PATH."
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, flags.Error):
        return f"{error} See '{program()} {command} --help'."
    if _is_out_of_memory(error):
        return f"There is not enough memory: {str(error).splitlines()[0]} Choose smaller sizes."
    if isinstance(error, OSError) and error.errno in _OF_FILES:
        return _storage_error(error)
    return ""


def _is_out_of_memory(error: Exception) -> bool:
    """Python's, NumPy's, or, by its text, JAX's, which is not imported here."""
    text = str(error)
    of_jax = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
    full = "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()
    return isinstance(error, MemoryError) or (of_jax and full)


def _dispatch(name: str, rest: list[str]) -> int:
    if name in _HELP:
        print(program_help(COMMANDS))
        return 0
    if name not in COMMANDS:
        raise UserError(f"Unknown command '{name}'.{did_you_mean(name, COMMANDS)}")
    return _run_command(name, rest)


def _run_command(name: str, rest: list[str]) -> int:
    described = importlib.import_module(f"cnnlab.cli.flags.{name}")
    values = flags.FlagValues()
    define = FlagDefiner(values)
    described.define_flags(define)
    if name not in _WITHOUT_PLUGINS:
        define.list(
            "plugins",
            [],
            "Files or modules that register components, besides those of the experiment or the "
            "run, or instead of those of the run that are missing or have changed.",
        )
    if _HELP & set(rest):
        print(command_help(described, values))
        return 0
    rest, overrides = split_overrides(rest)
    if overrides and "config" not in values:
        raise UserError(f"'{name}' takes no --config.* flags.")
    positional = values(["launch.py", *rest])[1:]
    if positional and name not in _WITH_ARGUMENTS:
        raise UserError(
            f"'{name}' takes flags only, got '{positional[0]}'; see '{program()} {name} --help'."
        )
    given_plugins([] if name in _WITHOUT_PLUGINS else values.plugins)
    command = importlib.import_module(f"cnnlab.cli.commands.{name}")
    try:
        return command.run(values, overrides, positional) or 0  # most return None
    except PluginError:
        raise
    except UserError as error:
        raise UserError(_with_flags(str(error), values)) from error


def _with_flags(text: str, values: flags.FlagValues) -> str:
    """The library's `NAME=VALUE` as this command's `--NAME=VALUE`; fields of the config stay."""
    names = "|".join(sorted(set(values) - set(Config.__dataclass_fields__)))
    return re.sub(rf"(?<![-\w.])({names})(?==)", r"--\1", text)


def _storage_error(error: OSError) -> str:
    if error.filename is None:
        return f"{error.strerror}."
    place = Path(os.fsdecode(error.filename)).absolute()
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}: {error.strerror}."
    there = next(path for path in (place, *place.parents) if path.is_dir())
    free = shutil.disk_usage(there).free / 2**20
    return f"{place}: {error.strerror} ({free:.0f} MiB free on the disk of {there})."
