"""Runs `launch.py list`; its help and its flags are `cnnlab.cli.flags.list`."""

import ast
import fnmatch
import inspect
import json
from typing import Any

from absl import flags

from cnnlab.config import experiment_names
from cnnlab.data import list_datasets
from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import list_models, model_source, model_task
from cnnlab.models.catalog import BASELINES, model_family
from cnnlab.models.costs import usual_cost
from cnnlab.registry import AUGMENTATIONS, CALLBACKS, LOSSES, METRICS, SCHEDULES, Registry
from cnnlab.units import short_count

_REGISTRIES = {
    "losses": LOSSES,
    "metrics": METRICS,
    "schedules": SCHEDULES,
    "augmentations": AUGMENTATIONS,
    "callbacks": CALLBACKS,
}
_KINDS = ("models", "datasets", "experiments", "optimizers", *_REGISTRIES)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Prints one name per line with a description, models by family with their size and cost."""
    if not positional or len(positional) > 2:
        raise UserError(f"list what? Say 'list {'|'.join(_KINDS)} [PATTERN]'.")
    kind, *patterns = positional
    if kind not in _KINDS:
        raise UserError(f"There is no list of '{kind}'.{did_you_mean(kind, _KINDS)}")
    rows = _rows(kind)
    names = fnmatch.filter(rows, patterns[0]) if patterns else list(rows)
    if not rows:
        raise UserError(f"There are no {kind} by name but those of --plugins=FILE.")
    if not names:
        raise UserError(f"None of the {kind} matches '{patterns[0]}'.")
    if values.json:
        found = [{"name": name, "description": rows[name]} for name in names]
        if kind == "models":
            found = [{**row, **_details(row["name"])} for row in found]
        print(json.dumps(found, indent=1))
        return
    if kind == "models":
        _print_models(names, rows)
        return
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {rows[name]}".rstrip())


def _details(name: str) -> dict[str, Any]:
    """What is known of a model besides its description."""
    if name in BASELINES:
        return {}
    cost = usual_cost(name)
    known = cost._asdict() if cost else {}
    return {"family": model_family(name), "task": model_task(name), **known}


def _print_models(names: list[str], rows: dict[str, str]) -> None:
    """Prints each family's description and below it its models, with size and cost."""
    width = max(map(len, names))
    print(f"{'':<{width}}  {'image':>7}  classes  parameters       MACs  weights")
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(rows[name], []).append(name)
    for line, members in families.items():
        print(f"\n{line}")
        for name in members:
            print(_row(name, width))
    print(
        "\nSizes are those of the usual image (side x channels) and classes; MACs are multiply-"
        "accumulates\nfor one image; 'yes' where trained weights can be loaded by name "
        "(model.pretrained)."
    )


def _row(name: str, width: int) -> str:
    cost = usual_cost(name)
    if cost is None:
        return name
    image = f"{cost.image_shape[0]}x{cost.image_shape[-1]}"
    numbers = f"{cost.num_classes:>7}  {short_count(cost.params):>10}  {short_count(cost.macs):>9}"
    return f"{name:<{width}}  {image:>7}  {numbers}  {'yes' if cost.weights else ''}".rstrip()


def _rows(kind: str) -> dict[str, str]:
    if kind == "models":
        return {name: model_source(name) for name in list_models()} | BASELINES
    if kind == "datasets":
        return list_datasets()
    if kind == "experiments":
        docs = {
            n: ast.get_docstring(ast.parse(p.read_text())) for n, p in experiment_names().items()
        }
        return {name: (doc or "").split("\n")[0] for name, doc in docs.items()}
    if kind in _REGISTRIES:
        return _registered(_REGISTRIES[kind])
    # Optimizers are optax's, which takes a second to import; the other lists need none of it.
    from cnnlab.train.optim.optimizer import list_optimizers, optimizer_options

    return {name: ", ".join(optimizer_options(name)) for name in list_optimizers()}


def _registered(registry: Registry[Any]) -> dict[str, str]:
    """The first line of each component's docstring, and the tasks it is for."""
    tasks: dict[str, list[str]] = {}
    lines: dict[str, str] = {}
    for entry in registry.entries():
        line = (inspect.getdoc(entry.load()) or "").partition("\n")[0]
        lines.setdefault(entry.name, line)
        tasks.setdefault(entry.name, []).extend([entry.task] if entry.task else [])
    return {
        name: f"{lines[name]} ({', '.join(tasks[name])})" if tasks[name] else lines[name]
        for name in sorted(lines)
    }
