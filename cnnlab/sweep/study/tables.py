"""The trials of a study as a CSV file, and its best configs as a table for the terminal."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from cnnlab.report.study_page.data import REPLICATES, StudyResults, Trial
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.units import value_text

_MOST_COLUMNS = 4  # of hyper-parameters, in 100 columns of a terminal


def write_trials(study: StudyResults, path: Path) -> None:
    """Writes one row per trial, atomically.

    Columns: number, state, value (of complete trials), the mean, standard deviation, number and
    95 % confidence interval of the mean over a trial's repeats, the last reported value and step,
    seconds, folder of the run, reason of a failure or a pruning, and `params.PATH` for each
    hyper-parameter, empty if a trial does not have it. Values are in the metric's own unit, an
    accuracy in [0, 1]. An apostrophe precedes texts that a spreadsheet would take for formulas.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["number", "state", "value", "mean", "sd", "repeats", "ci95_low", "ci95_high",
         "last_value", "steps", "seconds", "workdir", "reason",
         *(f"params.{name}" for name in study.scales)]
    )  # fmt: skip
    for trial in study.trials:
        writer.writerow(map(_cell, _row(study, trial)))
    with atomic_write(path) as temporary:
        temporary.write_text(text.getvalue(), errors="surrogateescape")


def _row(study: StudyResults, trial: Trial) -> list[object]:
    spread = trial.spread
    numbers: list[float | None] = [None] * 5
    if spread:
        ends = (None, None) if spread.n == 1 else study.metric.interval(spread)
        numbers = [spread.mean, spread.sd, spread.n, *ends]
    seconds = None if trial.seconds is None else round(trial.seconds, 2)
    params = [trial.params.get(name) for name in study.scales]
    return [trial.number, trial.state, trial.value, *numbers, trial.last_value, trial.last_step,
            seconds, trial.workdir, trial.reason, *params]  # fmt: skip


def _cell(value: object) -> object:
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else value


def best_table(study: StudyResults, *, rows: int = 10) -> Table:
    """Returns the best configs by their mean over seeds, with its standard deviation.

    Few hyper-parameters have a column each; many share one.
    """
    table = Table(
        title=f"best configs of the study {study.name}", title_justify="left", title_style="bold"
    )
    table.add_column("rank", justify="right")
    table.add_column("trials" if study.repeated else "trial", justify="right")
    heading = study.metric.label.replace(" ", "\n", 1) + (" ± sd" if study.repeated else "")
    table.add_column(heading, justify="right", no_wrap=True)
    if study.repeated:
        table.add_column(study.replicates, justify="right")
        table.add_column("95 % interval", justify="right", no_wrap=True)
    names = study.varied
    together = len(names) > _MOST_COLUMNS
    for heading in ["config"] if together else [study.short_names[name] for name in names]:
        table.add_column(heading, overflow="fold")
    for rank, candidate in enumerate(study.candidates[:rows], 1):
        spread = candidate.spread
        texts = [value_text(candidate.params[n]) if n in candidate.params else "" for n in names]
        if together:
            texts = [config_text(study, candidate.params)]
        interval = "" if spread.sd is None else study.metric.interval_text(spread)
        repeats = [str(spread.n), interval.removeprefix("95 % interval ").removesuffix(" %")]
        table.add_row(
            str(rank),
            ", ".join(str(trial.number) for trial in candidate.trials),
            study.metric.spread_text(spread).removesuffix(" %"),
            *(repeats if study.repeated else []),
            *map(escape, texts),
            style="bold" if rank == 1 else None,
        )
    return table


def config_text(study: StudyResults, params: Mapping[str, Any]) -> str:
    """Formats the hyper-parameters that vary, and the seed, on one line."""
    shown = [name for name in params if name in study.varied or name in REPLICATES]
    return "  ".join(f"{study.short_names[name]}={value_text(params[name])}" for name in shown)
