"""The page of a study: one HTML file that needs nothing else, no network either."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cnnlab.report import study_plots
from cnnlab.report.study_data import Candidate, Study, Trial, value_text
from cnnlab.report.study_rails import make_rail, metric_rail

_TEMPLATES = Path(__file__).parent / "templates"


def study_page(
    study: Study,
    *,
    importances: Mapping[str, float],
    too_few: str = "",
    command: str = "",
    notes: tuple[str, ...] = (),
) -> str:
    """Renders the page.

    Args:
      study: its trials as they stand; any number of them, in any state.
      importances: share of the metric's variance by hyper-parameter, the largest first.
      too_few: where there are no importances, why.
      command: trains the best config again.
      notes: sentences about the best config.
    """
    slices = study_plots.slices(study)
    plots = {
        "history": study_plots.history(study),
        "importance": study_plots.importance(study, importances),
        "timeline": study_plots.timeline(study),
        "curves": study_plots.learning_curves(study),
    } | {f"slice {name}": plot for name, plot in slices.items()}
    rails = _rails(study)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("study.html").render(
        study=study,
        written=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        best=_best(study, command, notes),
        nothing=_nothing(study),
        panels=_panels(study, plots, rails, too_few),
        plots={name: plot for name, plot in plots.items() if plot},
        texts={trial.number: study_plots.hover_text(study, trial) for trial in study.trials},
        rails=rails,
        columns=_columns(study),
        rows=[_row(study, trial) for trial in study.trials],
        css=Markup((_TEMPLATES / "study.css").read_text()),
        script=Markup((_TEMPLATES / "study.js").read_text()),
        plotly=Markup(get_plotlyjs()),
    )


def _nothing(study: Study) -> str:
    """Why there is no best config."""
    counts = study.counts
    if not counts:
        return "No trial has begun: there is nothing to compare yet."
    if set(counts) == {"failed"}:
        reason = study.trials[-1].reason
        last = f" The last one: {reason}" if reason else ""
        return f"All {counts['failed']} trials have failed: there is no best config.{last}"
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"No trial is complete ({said}): there is no best config yet."


def _best(study: Study, command: str, notes: tuple[str, ...]) -> dict[str, Any] | None:
    best = study.best
    if best is None:
        return None
    numbers = ", ".join(str(trial.number) for trial in best.trials)
    about = f"{study.metric.name.replace('_', ' ')} of trial {numbers}"
    if best.spread.n > 1:
        about = (
            f"mean {study.metric.name.replace('_', ' ')} of {best.spread.n} seeds with its 95 % "
            f"confidence interval, trial{'s' if len(best.trials) > 1 else ''} {numbers}; standard "
            f"deviation {study.metric.text(best.spread.sd)}"
        )
    ties = sum(candidate.spread.mean == best.spread.mean for candidate in study.candidates) - 1
    if ties:
        about += f"; {ties} more config{'s' if ties > 1 else ''} reached the same"
    params = best.params if len(best.trials) > 1 else best.trials[0].params  # with its seed
    return {
        "value": study.metric.spread_text(best.spread),
        "about": about,
        "notes": notes,
        "params": [(name, value_text(value)) for name, value in params.items()],
        "command": command,
    }


def _panels(
    study: Study, plots: Mapping[str, Any], rails: Mapping[str, Any], too_few: str
) -> list[dict[str, Any]]:
    metric = study.metric.name.replace("_", " ")
    none = "No trial has reported a value yet." if study.trials else "No trial has begun."
    alike = none if study.metric_range() is None else "No hyper-parameter varies."
    kept = "" if study.worst_shown is None else " Outliers are triangles at the edge."
    slices = [name for name in plots if name.startswith("slice ")]
    rows = [
        ("history", "wide", "History", none,
         f"The {metric} of each trial and the best so far; pruned and running trials at their last "
         f"value. Drag to zoom, double click to see all again.{kept}"),
        ("importance", "half", f"What the {metric} depends on", too_few or none,
         "Share of its variance that each hyper-parameter accounts for by itself (fANOVA over the "
         "complete trials)."
         + (" What is below the seed makes no difference that shows." if "seed" in study.scales
            else "")),
        ("timeline", "half", "Timeline", "No trial has begun.",
         "When each trial ran, in one lane for each that ran at the same time."),
        ("slices", "wide", "One hyper-parameter at a time", alike,
         f"The {metric} over each hyper-parameter that varies. Lines are the means of complete "
         "trials of a choice."),
        ("parallel", "wide", "All hyper-parameters at once",
         alike if study.varied == [] else "This takes two complete configs.",
         "One line for each complete config, the best in orange; yellow is good. Drag along an "
         "axis to keep the lines that pass there, click it to show all."),
        ("curves", "wide", "Learning curves", none,
         f"The {metric} while each trial was trained."),
    ]  # fmt: skip
    panels = []
    for name, width, title, missing, caption in rows:
        shown = slices if name == "slices" else [name] if plots.get(name) else []
        there = bool(rails) if name == "parallel" else bool(shown)
        panels.append(
            {"id": name, "width": width, "title": title, "caption": caption, "plots": shown,
             "missing": "" if there else missing}
        )  # fmt: skip
    return panels


def _rails(study: Study) -> dict[str, Any]:
    """Axes and lines of the parallel coordinates; empty where there is nothing to compare."""
    candidates = study.candidates
    if not study.varied or len(candidates) < 2:
        return {}
    drawn = [*(make_rail(study, name) for name in study.varied), metric_rail(study)]
    lines = []
    for rank, candidate in enumerate(candidates):
        heights = [round(rail.height(places[rank]), 4) for rail, places in drawn]
        lines.append(
            {
                "heights": heights,
                "good": heights[-1] if study.metric.sign > 0 else 1.0 - heights[-1],
                "best": rank == 0,
                "trial": candidate.trials[0].number,
                "text": _line_text(study, candidate),
            }
        )
    rails = [
        {"label": rail.label, "ticks": [(rail.height(x), text) for x, text in rail.ticks]}
        for rail, _ in drawn
    ]
    return {"rails": rails, "lines": lines}


def _line_text(study: Study, candidate: Candidate) -> str:
    text = study_plots.hover_text(study, candidate.trials[0])
    if len(candidate.trials) > 1:
        mean = study.metric.spread_text(candidate.spread)
        text = f"<b>mean of {candidate.spread.n} seeds {mean}</b><br>the best of them: {text}"
    return text


def _columns(study: Study) -> list[dict[str, Any]]:
    """Headings of the table of trials, `number` for those that are set to the right."""
    columns = [
        ("trial", "number", True),
        ("state", "what became of it", False),
        (study.metric.label, "of running and pruned trials, the last one", True),
    ]
    if _has_repeats(study):
        columns.append(("sd", "standard deviation over its seeds", True))
    columns += [(study.short_names[name], name, _is_number(study, name)) for name in study.scales]
    columns += [("steps", "last training step that was evaluated", True), ("seconds", "", True),
                ("reason", "why it failed or was pruned", False)]  # fmt: skip
    return [{"name": name, "title": title, "number": number} for name, title, number in columns]


def _has_repeats(study: Study) -> bool:
    return any(len(trial.repeats) > 1 for trial in study.trials)


def _is_number(study: Study, name: str) -> bool:
    scale = study.scales[name]
    return scale.kind != "choice" or all(
        isinstance(x, int | float) and not isinstance(x, bool) for x in scale.choices
    )


def _row(study: Study, trial: Trial) -> dict[str, Any]:
    sd = trial.spread.sd if trial.spread else None
    value = None if trial.last_value is None else study.metric.shown(trial.last_value)
    cells = [_cell(trial.number), _cell(trial.state) | {"state": trial.state}]
    cells.append(_cell(value, "" if value is None else study.metric.text(trial.last_value)))
    if _has_repeats(study):
        cells.append(_cell(sd, study.metric.text(sd)))
    for name in study.scales:
        known = name in trial.params
        value = trial.params.get(name)
        cells.append(_cell(value if known else None, value_text(value) if known else ""))
        cells[-1]["number"] = _is_number(study, name)
    cells += [_cell(trial.last_step),
              _cell(trial.seconds, "" if trial.seconds is None else f"{trial.seconds:.1f}"),
              _cell(trial.reason)]  # fmt: skip
    best = study.best is not None and trial.number in [t.number for t in study.best.trials]
    return {"number": trial.number, "state": trial.state, "best": best, "cells": cells}


def _cell(key: Any, text: str | None = None) -> dict[str, Any]:
    """A cell and what it is sorted by; an empty key comes last."""
    plain = "" if key is None else str(key)
    number = isinstance(key, int | float) and not isinstance(key, bool)
    return {"key": plain, "text": plain if text is None else text, "number": number, "state": ""}
