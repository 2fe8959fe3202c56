"""The text of `--help`, for the program and for each command."""

import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from absl import flags

from cnnlab.config import Config
from cnnlab.config.overrides import describe_fields
from cnnlab.program import program

_SPECIAL = frozenset({"flagfile", "undefok"})
_WIDTH = 98


def program_help(commands: Iterable[str]) -> str:
    """Help of the program, with one line per command."""
    lines = [
        "cnnlab: train, evaluate and analyse convolutional networks.",
        "",
        f"usage: {program()} COMMAND [FLAGS] [ARGUMENTS]",
        "",
        "commands:",
    ]
    for name in commands:
        summary = importlib.import_module(f"cnnlab.cli.flags.{name}").__doc__.splitlines()[0]
        lines.append(f"  {name:<9} {summary}")
    lines += [
        "",
        f"'{program()} train' alone trains LeNet on handwritten digits that come with cnnlab.",
        f"'{program()} COMMAND --help' lists the flags of a command.",
        "",
        "Exit status: 0 on success; 1 after a mistake, with one sentence on standard error;",
        "130 or 143 after Ctrl-C or SIGTERM; training saves its state before it stops.",
    ]
    return "\n".join(lines)


def command_help(module: ModuleType, values: flags.FlagValues) -> str:
    """The command's docstring and its flags; for `train` also every field of the config."""
    lines = [module.__doc__.strip()]
    names = sorted(set(values) - _SPECIAL)
    if names:
        lines += ["", "flags:"]
    for name in names:
        flag = values[name]
        default = "" if flag.default in (None, False) else f" (default: {flag.default_as_str})"
        lines += [f"  --{name}", _indented(f"{flag.help}{default}")]
    if "config" in names and "workdir" not in names:
        lines += ["", "The fields for --config.FIELD: 'python launch.py train --help'."]
    elif "config" in names:
        lines += ["", "fields of the config, with their defaults (an experiment may set others):"]
        meanings = field_meanings(Config())
        for path, default in describe_fields(Config()):
            lines += [
                f"  --config.{path}={default}",
                _indented(meanings[path.removesuffix(".NAME")]),
            ]
    # Help is written for a clone.
    return "\n".join(lines).replace("python launch.py", program())


def field_meanings(config: Any, prefix: str = "") -> dict[str, str]:
    """Descriptions of the fields of nested dataclasses by path, from their `Attributes`."""
    text = inspect.getdoc(type(config)).partition("Attributes:\n")[2]
    written = {
        name: " ".join(meaning.split())
        for name, meaning in re.findall(r"^  (\w+): (.*(?:\n    .*)*)", text, flags=re.M)
    }
    meanings = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            meanings |= field_meanings(value, f"{prefix}{field.name}.")
        else:
            meanings[prefix + field.name] = written[field.name].replace("`", "")
    return meanings


def _indented(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
