"""The HTML report of one run, or a comparison of many: one file that needs no other."""

import datetime
import json
import shlex
import sys
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from cnnlab import __version__
from cnnlab.analysis.curves import differing_fields, group_by_seed, group_labels
from cnnlab.config import to_json
from cnnlab.errors import UserError
from cnnlab.models.registry import BASELINES
from cnnlab.report.costs import Cost, network_cost
from cnnlab.report.inside import Inside, look_inside
from cnnlab.report.page_data import class_rows, page_data
from cnnlab.report.page_format import (
    color_of,
    metric_words,
    show_big,
    show_bytes,
    show_duration,
    show_score,
    show_value,
)
from cnnlab.report.page_tables import (
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
from cnnlab.report.reproduce import reproduce_command
from cnnlab.report.run_record import RunRecord, find_runs, read_records
from cnnlab.train import load_data, load_run
from cnnlab.train.restore import Run

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
      folders: of runs, or of folders that hold runs; complete or not.
      pictures: of how many configurations examples, filters and Grad-CAM are shown, the best ones
        first, each by its best run; that loads their weights and data.
      load: gives a run's weights, by its folder and the word `best`.
      report: is told what takes time.

    Raises:
      UserError: no run is there, or a config is damaged. All else that is missing is told on the
        page.
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
        "command": shlex.join(["python", "launch.py", *sys.argv[1:]]),
        "records": records,
        "groups": [
            group_row(number, labels[number], [records[i] for i in group], costs[number])
            for number, group in enumerate(groups)
        ],
        "group_of": group_of,
        "labels": labels,
        "ranked": ranked,
        "metrics": test_metrics(records),
        "fields": fields,
        "datasets": dataset_cards(records),
        "environments": [environment_rows(record) for record in records],
        "commands": [reproduce_command(r.config, f"runs/{r.path.name}") for r in records],
        "config_uris": [_config_uri(record) for record in records],
        "config_texts": [json.dumps(to_json(record.config), indent=2) for record in records],
        "insides": insides,
        "class_tables": _class_tables(records),
        "data": page_data(records, groups, labels),
    }
    context |= _derived(context)
    return _template().render(context)


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
    return {
        "cards": result_cards(context),
        "problems": [(r.name, problem) for r in records for problem in r.problems],
        "common": {path: most_common(values) for path, values in fields.items()},
        "has_curves": any(
            len(curve["step"]) > 1
            for run in context["data"]["runs"]
            for curve in run["curves"].values()
        ),
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


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cnnlab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": show_score,
        "big": show_big,
        "bytes": show_bytes,
        "duration": show_duration,
        "words": metric_words,
    }
    return environment.get_template("report.html")


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
        report(f"Looking into {record.path}.")
        try:
            insides[best] = look_inside(load(record.path, "best"), load_data(record.config))
        except UserError as error:
            insides[best] = Inside(notes=[str(error)])
    return insides


def _config_uri(record: RunRecord) -> str:
    text = json.dumps(to_json(record.config), indent=2)
    return "data:application/json," + urllib.parse.quote(text)
