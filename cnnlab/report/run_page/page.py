"""The HTML report of one run, or a comparison of many: one file that needs no other."""

import datetime
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cnnlab import __version__
from cnnlab.analysis.curves import differing_fields, group_by_seed, group_labels
from cnnlab.config import to_json
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.inference.run import Run, run_data
from cnnlab.program import program
from cnnlab.report.run_page.cost import run_cost
from cnnlab.report.run_page.data import class_rows, page_data
from cnnlab.report.run_page.inspection import Inside, look_inside
from cnnlab.report.run_page.reproduce import reproduce_command
from cnnlab.report.run_page.run_record import RunRecord, find_runs, read_records
from cnnlab.report.run_page.tables import (
    color_of,
    environment_rows,
    group_row,
    rank_groups,
    report_title,
    result_cards,
    run_order,
    show_big,
    show_bytes,
    show_duration,
    test_metrics,
)
from cnnlab.report.template import page_template
from cnnlab.tasks.words import metric_words, show_score
from cnnlab.train.runtime.run_mirror import shown
from cnnlab.units import value_text

_CLASS_ROWS = 4000  # of all tables of classes together


def make_report(
    folders: Sequence[str | Path],
    *,
    pictures: int = 4,
    load: Callable[[Path, str], Run] = load_run,
    report: Callable[[str], None] = lambda text: None,
) -> str:
    """Writes the page.

    Args:
      folders: folders of runs, complete or not, or folders that contain runs.
      pictures: number of configurations, best first, for whose best run examples, filters and
        Grad-CAM are shown; their weights and data are loaded.
      load: loads a run from its folder and the word `best`.
      report: called with a sentence before each step that takes time.

    Raises:
      UserError: there is no run, or a config is damaged. The page lists everything else that is
        missing.
    """
    records = read_records(find_runs(folders))
    configs = [record.config for record in records]
    groups = group_by_seed(configs)
    labels = group_labels(configs, groups)
    rows = [
        group_row(label, [records[i] for i in group], run_cost(records[group[0]]))
        for label, group in zip(labels, groups, strict=True)
    ]
    ranked = rank_groups(records, groups)
    insides = _insides(records, groups, ranked[:pictures], load, report)
    fields = differing_fields(configs)
    class_tables = _class_tables(records)
    environments = [environment_rows(record) for record in records]
    data = page_data(records, groups, labels)
    curves = [list(run["curves"].values()) for run in data["runs"]]
    has_curves = any(len(curve["step"]) > 1 for splits in curves for curve in splits)
    sections = {
        "results": ("Results", True),
        "config": ("Differences", fields),
        "curves": ("Curves", has_curves),
        "classes": ("Classes", class_tables),
        "inside": ("Inside", insides),
        "cost": ("Cost", True),
        "reproduce": ("Reproduce", True),
    }
    filters = {"score": show_score, "big": show_big, "bytes": show_bytes,
               "duration": show_duration, "words": metric_words,
               "value": partial(value_text, digits=6)}  # fmt: skip
    return page_template("report.html", **filters).render(
        title=report_title(records, groups, labels),
        sections=[(name, title) for name, (title, there) in sections.items() if there],
        made=datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
        version=__version__,
        command_line=f"{program()} {shlex.join(sys.argv[1:])}",
        records=records,
        problems=[(record.name, text) for record in records for text in record.problems],
        groups=rows,
        group_of={member: number for number, group in enumerate(groups) for member in group},
        color=color_of,
        ranked=ranked,
        order=[
            run
            for number in ranked
            for run in sorted(groups[number], key=lambda i: run_order(records[i]))
        ],
        cards=result_cards(records, [rows[number] for number in ranked]),
        metrics=test_metrics(records),
        deciding=sorted({record.metric for record in records}),
        fields=fields,
        common={path: max(values, key=values.count) for path, values in fields.items()},
        has_curves=has_curves,
        has_levels=any(c and all(len(curve["step"]) == 1 for curve in c) for c in curves),
        class_tables=class_tables,
        with_confusion=sum(bool(class_rows(record)) for record in records),
        insides=insides,
        environments=environments,
        shared_environment=_shared(environments),
        commands=[reproduce_command(r.config, f"runs/{r.path.name}") for r in records],
        config_texts=[json.dumps(to_json(config), indent=2) for config in configs],
        data=data,
    )


def _shared(environments: list[dict[str, str]]) -> str:
    """What all runs were made with, as far as that is recorded."""
    known = [environment for environment in environments if environment]
    names = ("cnnlab", "git revision", "jax", "device", "python") if known else ()
    told = {name: {environment.get(name) for environment in known} for name in names}
    return ", ".join(f"{name} {values.pop()}" for name, values in told.items() if len(values) == 1)


def _class_tables(records: list[RunRecord]) -> dict[int, list[dict[str, Any]]]:
    """By number of the run, those of the best first; as many as a page can hold."""
    tables: dict[int, list[dict[str, Any]]] = {}
    for number in sorted(range(len(records)), key=lambda i: run_order(records[i])):
        rows = class_rows(records[number])
        if rows and (not tables or sum(map(len, tables.values())) + len(rows) <= _CLASS_ROWS):
            tables[number] = rows
    return tables


def _insides(
    records: list[RunRecord],
    groups: list[list[int]],
    chosen: list[int],
    load: Callable[[Path, str], Run],
    report: Callable[[str], None],
) -> dict[int, Inside]:
    """By number of the run."""
    insides = {}
    for number in chosen:
        best = min(groups[number], key=lambda i: run_order(records[i]))
        record = records[best]
        report(f"Looking into {shown(record.path)}.")
        try:
            run = load(record.path, "best")
            insides[best] = look_inside(run, run_data(run, report=report))
        except UserError as error:
            insides[best] = Inside(notes=[str(error)])
    return insides
