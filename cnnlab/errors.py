"""The exception for users' mistakes, and parts of its sentences."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can correct, described in one or two sentences.

    The command line prints the text alone, without a traceback, and exits with status 1. Code that
    uses cnnlab as a library catches it as a `ValueError`.
    """


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its kind if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Suggests the choices most similar to `name`: `" Did you mean 'resnet18'?"`.

    If none is similar, all are listed, so the text can end any error about a name.
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    if near:
        return " Did you mean " + " or ".join(repr(choice) for choice in near) + "?"
    return f" Choose from: {', '.join(choices)}." if choices else " There is none to choose from."
