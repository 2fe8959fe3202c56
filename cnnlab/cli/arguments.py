"""Checks that commands share."""

from cnnlab.errors import UserError


def refuse_positional(command: str, positional: list[str]) -> None:
    """Raises a `UserError` for arguments that a command does not take."""
    if positional:
        raise UserError(
            f"'{command}' takes flags only, got '{positional[0]}'; see "
            f"'launch.py {command} --help'."
        )


def require(name: str, value: object) -> None:
    """Raises a `UserError` unless a flag was set."""
    if not value:
        raise UserError(f"--{name} must be set.")
