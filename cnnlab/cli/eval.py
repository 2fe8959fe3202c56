"""Evaluate a trained run on one of its splits.

usage: python launch.py eval --workdir=FOLDER [--split=test] [--checkpoint=best] [--json]

Every example of the split counts exactly once. With --json, one JSON object on one line comes last
on standard output: accuracy, top5, loss, mean_class_accuracy, per_class_accuracy, num_examples; of
segmentation: miou, mean_dice, accuracy, mean_class_accuracy, boundary_f1, loss, per_class.
"""

import json

from absl import flags
from rich.console import Console
from rich.table import Table

from cnnlab.cli.arguments import refuse_positional, require
from cnnlab.cli.platform import enable_compilation_cache


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
    flags.DEFINE_string(
        "split", "test", "Which split: train, validation or test.", flag_values=values
    )
    flags.DEFINE_string(
        "checkpoint", "best", "Which weights: best, latest or a step.", flag_values=values
    )
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Evaluates and prints."""
    refuse_positional("eval", positional)
    require("workdir", values.workdir)
    enable_compilation_cache()
    from cnnlab.cli.runs import load_run
    from cnnlab.train.restore import evaluate_run

    trained = load_run(values.workdir, values.checkpoint)
    numbers = evaluate_run(trained, values.split)
    if values.json:
        print(json.dumps(numbers))
        return 0
    per_class = numbers.pop("per_class_accuracy", {})
    tables = numbers.pop("per_class", {})
    table = Table(
        title=f"{values.split} split, weights of step {trained.step}", title_justify="left"
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in numbers.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    for name, value in per_class.items():
        table.add_row(f"accuracy of '{name}'", "no examples" if value is None else f"{value:.4f}")
    Console().print(table)
    if tables:
        Console().print(_per_class(tables))
    return 0


def _per_class(rows: dict[str, dict[str, float | None]]) -> Table:
    """A row for each class of a segmentation run."""
    table = Table(title="classes", title_justify="left")
    table.add_column("class")
    for name in next(iter(rows.values())):
        table.add_column(name, justify="right")
    for name, row in rows.items():
        cells = ("none" if x is None else f"{x:,}" if isinstance(x, int) else f"{x:.4f}"
                 for x in row.values())  # fmt: skip
        table.add_row(name, *cells)
    return table
