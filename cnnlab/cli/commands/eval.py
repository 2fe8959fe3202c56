"""Runs `launch.py eval`; its help and its flags are `cnnlab.cli.flags.eval`."""

import json

from absl import flags
from rich.table import Table
from rich.text import Text

from cnnlab.cli.arguments import require, to_stderr
from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.cli.runs import load_run
from cnnlab.cli.terminal import console
from cnnlab.data.describe import ALL, describe
from cnnlab.inference.other_data import other_data
from cnnlab.inference.run import evaluate_dataset, evaluate_run
from cnnlab.visible import visible


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Evaluates a run and prints its metrics."""
    require("workdir", values.workdir)
    enable_compilation_cache()
    trained = load_run(values.workdir, values.checkpoint)
    split, name = values.split, f"{values.split} split"
    if values.data is None:
        numbers = evaluate_run(trained, split)
    else:
        dataset = other_data(trained, values.data, split if values["split"].present else None)
        for line in describe(dataset):
            to_stderr(line)
        (split,) = dataset.splits
        name = "all images" if split == ALL else f"{split} split"
        numbers = {"data": values.data} | evaluate_dataset(trained, dataset, split)
    if values.json:
        print(json.dumps(numbers))
        return
    tables = numbers.pop("per_class", {})
    columns = {n.removeprefix("per_class_"): numbers.pop(n) for n in list(numbers)
               if n.startswith("per_class_")}  # fmt: skip
    per_class = columns.pop("accuracy", {})
    if columns:
        tables = {c: {name: v[c] for name, v in columns.items()} for c in per_class}
    numbers.pop("data", None)
    table = Table(title=f"{name}, weights of step {trained.step}", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in numbers.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    for name, value in per_class.items():
        # Text, as a name in brackets would be taken for a style.
        row = Text(f"accuracy of '{visible(name)}'")
        table.add_row(row, "no examples" if value is None else f"{value:.4f}")
    console().print(table)
    if tables:
        console().print(_per_class(tables))


def _per_class(rows: dict[str, dict[str, float | None]]) -> Table:
    """One row of values per class."""
    table = Table(title="classes", title_justify="left")
    table.add_column("class")
    for name in next(iter(rows.values())):
        table.add_column(name, justify="right")
    for name, row in rows.items():
        cells = ("none" if x is None else f"{x:,}" if isinstance(x, int) else f"{x:.4f}"
                 for x in row.values())  # fmt: skip
        table.add_row(Text(visible(name)), *cells)
    return table
