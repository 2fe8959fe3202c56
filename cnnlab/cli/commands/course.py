"""Runs `launch.py course`; its help and its flags are `cnnlab.cli.flags.course`."""

import json

from absl import flags

from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.course import EXPERIMENTS, FIGURES, build, check_names
from cnnlab.errors import UserError

_WHOLE = ("site", "notebooks")


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Draws figures one after the other and prints the files that were written."""
    if positional and positional[0] in _WHOLE:
        _build_whole(positional, values)
        return
    enable_compilation_cache()
    check_names(positional)
    pictures = []
    for name in positional or [*FIGURES, *EXPERIMENTS]:
        pictures += build(values.out, [name], measure=not values.redraw)
        if not values.json:
            print(pictures[-1], flush=True)
    if values.json:
        print(json.dumps({"pictures": [str(path) for path in pictures]}))


def _build_whole(positional: list[str], values: flags.FlagValues) -> None:
    """Writes all pages, as a site or as notebooks."""
    kind, *others = positional
    if others or values.redraw:
        raise UserError(f"'course {kind}' takes no figures and no --redraw, only --out and --json.")
    try:  # optional: the extra "course"
        if kind == "site":
            from cnnlab.course.site import build_site as build
        else:
            from cnnlab.course.notebooks import build_notebooks as build
    except ModuleNotFoundError as error:
        raise UserError(
            f"'course {kind}' needs the package {error.name}: pip install 'cnnlab[course]'"
        ) from error
    pages = build(values.out)
    if values.json:
        print(json.dumps({"pages": [str(path) for path in pages]}))
    else:
        print(f"{len(pages)} pages; begin with {pages[0]}")
