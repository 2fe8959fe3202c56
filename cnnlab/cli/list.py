"""List what can be named: models, datasets, experiments or optimizers.

usage: python launch.py list models|datasets|experiments|optimizers [PATTERN]

  python launch.py list models 'resnet*'
"""

import ast
import fnmatch

from absl import flags

from cnnlab.errors import UserError, did_you_mean

_KINDS = ("models", "datasets", "experiments", "optimizers")


def define_flags(values: flags.FlagValues) -> None:
    """Defines nothing: what to list is an argument."""


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Prints one name a line, with what it is."""
    if not positional or len(positional) > 2:
        raise UserError(f"list what? Say 'list {'|'.join(_KINDS)} [PATTERN]'.")
    kind, *patterns = positional
    if kind not in _KINDS:
        raise UserError(f"There is no list of '{kind}'.{did_you_mean(kind, _KINDS)}")
    rows = _rows(kind)
    names = fnmatch.filter(rows, patterns[0]) if patterns else list(rows)
    if not names:
        raise UserError(f"None of the {kind} matches '{patterns[0]}'.")
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {rows[name]}".rstrip())
    return 0


def _rows(kind: str) -> dict[str, str]:
    if kind == "models":
        from cnnlab.classical import BASELINES
        from cnnlab.models import list_models, model_source

        return {name: model_source(name) for name in list_models()} | BASELINES
    if kind == "datasets":
        from cnnlab.data import list_datasets

        return list_datasets()
    if kind == "experiments":
        from cnnlab.config import experiment_names

        docs = {
            n: ast.get_docstring(ast.parse(p.read_text())) for n, p in experiment_names().items()
        }
        return {name: (doc or "").split("\n")[0] for name, doc in docs.items()}
    from cnnlab.train.optimizer import list_optimizers, optimizer_options

    return {name: ", ".join(optimizer_options(name)) for name in list_optimizers()}
