"""Checks that commands share."""

import sys
from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.storage.output_file import check_output


def require(name: str, value: object) -> None:
    """Raises a `UserError` unless a flag was set."""
    if not value:
        raise UserError(f"--{name} must be set.")


def check_picture(path: str | Path) -> None:
    """Raises a `UserError` unless a picture of the ending's format can be written at a path."""
    from matplotlib.backend_bases import FigureCanvasBase  # slow to import

    formats = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(path).suffix.removeprefix(".") not in formats:
        raise UserError(f"out={path}: its ending must be one of {', '.join(formats)}.")
    check_output(path)


def to_stderr(line: str) -> None:
    """Prints a line that says how data were understood."""
    print(line, file=sys.stderr)
