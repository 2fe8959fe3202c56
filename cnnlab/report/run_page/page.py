"""The HTML report of one run, or a comparison of many: one file that needs no other."""

import datetime
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnnlab import __version__
from cnnlab.analysis.curves import differing_fields, group_by_seed, group_labels
from cnnlab.config import to_json
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.inference.run import Run, run_data
from cnnlab.models.catalog import BASELINES
from cnnlab.program import program
from cnnlab.report.run_page.costs import Cost, network_cost
from cnnlab.report.run_page.data import class_rows, page_data
from cnnlab.report.run_page.format import (
    color_of,
    show_big,
    show_bytes,
    show_duration,
    show_value,
)
from cnnlab.report.run_page.inspection import Inside, look_inside
from cnnlab.report.run_page.reproduce import reproduce_command
from cnnlab.report.run_page.run_record import RunRecord, find_runs, read_records
from cnnlab.report.run_page.tables import (
    dataset_cards,
    environment_rows,
    group_row,
    most_common,
    rank_groups,
    reliability_bars,
    report_title,
    result_cards,
    run_order,
    test_metrics,
)
from cnnlab.report.template import page_template
from cnnlab.tasks.words import metric_words, show_score
from cnnlab.train.runtime.run_mirror import shown

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
    costs = [_cost(records[group[0]]) for group in groups]
    ranked = rank_groups(records, groups)
    insides = _insides(records, groups, ranked[:pictures], load, report)
    group_of = {member: number for number, group in enumerate(groups) for member in group}
    fields = differing_fields(configs)
    context = {
        "title": report_title(records, groups, labels),
        "made": datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
        "version": __version__,
        "command_line": f"{program()} {shlex.join(sys.argv[1:])}",
        "records": records,
        "groups": [
            group_row(number, labels[number], [records[i] for i in group], costs[number])
            for number, group in enumerate(groups)
        ],
        "group_of": group_of,
        "labels": labels,
        "ranked": ranked,
        "order": [
            run
            for number in ranked
            for run in sorted(groups[number], key=lambda i: run_order(records[i]))
        ],
        "metrics": test_metrics(records),
        "deciding": sorted({record.metric for record in records}),
        "fields": fields,
        "datasets": dataset_cards(records),
        "environments": [environment_rows(record) for record in records],
        "commands": [reproduce_command(r.config, f"runs/{r.path.name}") for r in records],
        "config_texts": [json.dumps(to_json(record.config), indent=2) for record in records],
        "insides": insides,
        "class_tables": _class_tables(records),
        "data": page_data(records, groups, labels),
    }
    context |= _derived(context)
    template = page_template(
        "report.html",
        score=show_score,
        big=show_big,
        bytes=show_bytes,
        duration=show_duration,
        words=metric_words,
    )
    return template.render(context)


def _derived(context: dict[str, Any]) -> dict[str, Any]:
    """What the template would otherwise have to work out."""
    records, fields = context["records"], context["fields"]
    environments = [e for e in context["environments"] if e]
    shared = ""
    if environments:
        names = ("cnnlab", "git revision", "jax", "device", "python")
        told = {name: {e.get(name) for e in environments} for name in names}
        shared = ", ".join(
            f"{name} {values.pop()}" for name, values in told.items() if len(values) == 1
        )
    has_curves = any(
        len(curve["step"]) > 1
        for run in context["data"]["runs"]
        for curve in run["curves"].values()
    )
    sections = [
        ("results", "Results"),
        ("config", "Differences") if fields else ("", ""),
        ("curves", "Curves") if has_curves else ("", ""),
        ("classes", "Classes") if context["class_tables"] else ("", ""),
        ("inside", "Inside") if context["insides"] else ("", ""),
        ("cost", "Cost"),
        ("reproduce", "Reproduce"),
    ]
    return {
        "sections": sections,
        "cards": result_cards(context),
        "problems": [(r.name, problem) for r in records for problem in r.problems],
        "common": {path: most_common(values) for path, values in fields.items()},
        "has_curves": has_curves,
        "has_levels": any(
            run["curves"] and all(len(curve["step"]) == 1 for curve in run["curves"].values())
            for run in context["data"]["runs"]
        ),
        "with_confusion": sum(bool(class_rows(record)) for record in records),
        "first_class_run": next(iter(context["class_tables"]), None),
        "shared_environment": shared,
        "color": color_of,
        "shown_value": show_value,
        "reliability_bars": reliability_bars,
    }


def _class_tables(records: list[RunRecord]) -> dict[int, list[dict[str, Any]]]:
    """By number of the run, those of the best first; as many as a page can hold."""
    tables: dict[int, list[dict[str, Any]]] = {}
    for number in sorted(range(len(records)), key=lambda i: run_order(records[i])):
        rows = class_rows(records[number])
        if rows and (not tables or sum(map(len, tables.values())) + len(rows) <= _CLASS_ROWS):
            tables[number] = rows
    return tables


def _cost(record: RunRecord) -> Cost | None:
    """None for a baseline, or where the data are not known."""
    if record.info is None or record.config.model.name in BASELINES:
        return None
    try:
        return network_cost(record.config, record.info)
    except UserError as error:
        record.problems.append(str(error))
        return None


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
