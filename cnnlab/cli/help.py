"""The text of `--help`, for the program and for each command."""

import importlib
from collections.abc import Iterable
from types import ModuleType

from absl import flags

from cnnlab.config import Config
from cnnlab.config.overrides import describe_fields

_SPECIAL = frozenset({"flagfile", "undefok"})


def program_help(commands: Iterable[str]) -> str:
    """What the program does, and a line for each command."""
    lines = [
        "cnnlab: train, evaluate and look into convolutional networks.",
        "",
        "usage: python launch.py COMMAND [FLAGS] [ARGUMENTS]      (or: cnnlab COMMAND ...)",
        "",
        "commands:",
    ]
    for name in commands:
        summary = importlib.import_module(f"cnnlab.cli.{name}").__doc__.splitlines()[0]
        lines.append(f"  {name:<9} {summary}")
    lines += [
        "",
        "Without a command, 'train' runs; without flags, it trains LeNet on handwritten digits.",
        "'python launch.py COMMAND --help' tells the flags of a command.",
    ]
    return "\n".join(lines)


def command_help(module: ModuleType, values: flags.FlagValues) -> str:
    """The command's docstring, its flags, and the fields of the config where it takes one."""
    lines = [module.__doc__.strip(), "", "flags:"]
    for name in sorted(set(values) - _SPECIAL):
        flag = values[name]
        default = "" if flag.default in (None, False) else f" (default: {flag.default_as_str})"
        lines += [f"  --{name}", f"      {flag.help}{default}"]
    if "config" in values:
        lines += ["", "fields of the config, with their defaults (an experiment may set others):"]
        lines += [f"  --config.{path}={default}" for path, default in describe_fields(Config())]
        lines.append("What each means: 'python -m pydoc cnnlab.config.schema'.")
    return "\n".join(lines)
