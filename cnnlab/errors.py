"""The one exception for a user's mistake, and the search for what the user may have meant."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can mend; its text is one clear sentence or two.

    The command line prints the text alone, without a traceback, and exits with status 1. Code that
    uses cnnlab as a library catches it as a `ValueError`.
    """


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Names the choices nearest to `name`: `" Did you mean 'resnet18'?"`.

    Where none is near, all of them are named, so that the text ends every error about a name.
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    if near:
        return " Did you mean " + " or ".join(repr(choice) for choice in near) + "?"
    return f" Choose from: {', '.join(choices)}." if choices else " There is none to choose from."
