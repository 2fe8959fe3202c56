"""The page of a study: one HTML file that needs no other files and no network."""

import dataclasses
import datetime
import textwrap
from collections.abc import Mapping
from typing import Any

from cnnlab.report.study_page.charts import history, learning_curves, slices
from cnnlab.report.study_page.data import Candidate, StudyResults, Trial
from cnnlab.report.study_page.figures import percent_text
from cnnlab.report.study_page.metric import Spread
from cnnlab.report.study_page.parallel_axes import goodness, parallel_rails
from cnnlab.report.study_page.timeline import make_timeline
from cnnlab.report.template import page_template
from cnnlab.tasks.words import metric_words
from cnnlab.units import value_text


@dataclasses.dataclass(frozen=True)
class About:
    """Information on a study's page that its trials do not hold.

    Attributes:
      subject: models and data for the title, e.g. `lenet on digits`; may be empty.
      images: number of images that the metric was measured on; None if unknown.
      command: command that trains the best config again; may be empty.
      test: metric of the best config on the test split; None if its runs do not hold it.
      no_importance: reason why there are no importances; may be empty.
    """

    subject: str = ""
    images: int | None = None
    command: str = ""
    test: Spread | None = None
    no_importance: str = ""


def study_page(
    study: StudyResults, *, importances: Mapping[str, float], about: About | None = None
) -> str:
    """Renders the page.

    Args:
      study: current results, with any number of trials in any state.
      importances: share of the metric's variance by hyper-parameter, the largest first; empty
        where nothing can be said.
      about: what else is known.
    """
    about = about or About()
    charts = {"history": history(study), "curves": learning_curves(study)}
    charts |= {f"slice {name}": chart for name, chart in slices(study).items()}
    charts = {name: chart.to_json() for name, chart in charts.items() if chart}
    rails, timeline = _rails(study), make_timeline(study)
    panels = _panels(study, charts, bool(importances), bool(timeline), bool(rails))
    for panel in panels:
        if panel["id"] == "slices" and about.no_importance:
            panel["caption"] += f" {about.no_importance}"
    return page_template("study.html", percent=percent_text).render(
        title=": ".join(filter(None, (about.subject, f"study {study.name}"))),
        sections=[("best", "Best"), *((p["id"], p["title"]) for p in panels), ("trials", "Trials")],
        study=study,
        written=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        best=_best(study, about),
        nothing=_nothing(study),
        panels=panels,
        importances=importances,
        timeline=timeline,
        top=study.best.trials[0].number if study.best else None,
        columns=_columns(study),
        data={
            "charts": charts,
            "texts": {trial.number: hover_text(study, trial) for trial in study.trials},
            "rails": rails,
        },
    )


def _nothing(study: StudyResults) -> str:
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


def _best(study: StudyResults, about: About) -> dict[str, Any] | None:
    best, metric = study.best, study.metric
    if best is None:
        return None
    many = "s" if len(best.trials) > 1 else ""
    told = f"trial{many} {', '.join(str(trial.number) for trial in best.trials)}"
    if about.images:
        told += f", on {about.images:,} images"
    ties = sum(candidate.spread.mean == best.spread.mean for candidate in study.candidates) - 1
    if ties:
        told += f"; {ties} more config{'s' if ties > 1 else ''} reached the same"
    params = best.params if len(best.trials) > 1 else best.trials[0].params  # with its seed
    cards = [_score_card(study, metric.words, best.spread, told)]
    if about.test:
        told = "test split, which had no part in the choice"
        cards.append(_score_card(study, f"test {metric_words(metric.name)}", about.test, told))
    return {
        "cards": cards,
        "params": [(name, value_text(value)) for name, value in params.items()],
        "command": about.command,
    }


def _score_card(study: StudyResults, words: str, spread: Spread, told: str) -> dict[str, str]:
    """A number with an explanation of its `±`."""
    value, what = study.metric.spread_text(spread), words[0].upper() + words[1:]
    if spread.n == 1:
        return {"what": what, "value": value, "about": told}
    runs = f"{spread.n} {study.replicates}"
    about = f"±: sd over {runs}; {study.metric.interval_text(spread)} of the mean; {told}"
    return {"what": f"{what}, mean of {runs}", "value": value, "about": about}


def _panels(
    study: StudyResults, charts: Mapping[str, Any], importances: bool, timeline: bool, rails: bool
) -> list[dict[str, Any]]:
    """The figures that there is something to show in."""
    metric = study.metric.words
    kept = "" if study.worst_shown is None else " Outliers are triangles at the edge."
    repeats = " Bars are 95 % intervals of a trial's mean." if _has_repeats(study) else ""
    seed = ("; what is below the seed makes no difference that shows" if "seed" in study.scales
            else "")  # fmt: skip
    sliced = [name for name in charts if name.startswith("slice ")]
    panels = [
        ("history", "History", "history" in charts, ["history"],
         f"The {metric} of each trial and the best so far; pruned and running trials at their last "
         f"value. Drag to zoom, double-click to see all.{kept}{repeats}"),
        ("importance", "Importance", importances, [],
         f"What the {metric} depends on: the share of its variance that each hyper-parameter "
         f"accounts for by itself (fANOVA over the complete trials){seed}."),
        ("slices", "Hyper-parameters", bool(sliced), sliced,
         f"The {metric} over each hyper-parameter that varies. Lines are the means of complete "
         "trials of a choice."),
        ("parallel", "All at once", rails, [],
         "One line for each complete config, the best in orange; the stronger its colour, the "
         "better. Drag along an axis to keep the lines that pass there, click it to show all."),
        ("curves", "Learning curves", "curves" in charts, ["curves"],
         f"The {metric} while each trial was trained."),
        ("timeline", "Timeline", timeline, [],
         "When each trial ran, in one lane for each that ran at the same time."),
    ]  # fmt: skip
    return [
        {"id": name, "title": title, "charts": shown, "caption": caption}
        for name, title, there, shown, caption in panels
        if there
    ]


def _rails(study: StudyResults) -> dict[str, Any]:
    """Axes and lines of the parallel coordinates; empty where there is nothing to compare."""
    rails = parallel_rails(study)
    if not rails:
        return {}
    lines = zip(*(rail.heights for rail in rails), strict=True)
    return {
        "rails": [{"label": rail.label, "ticks": rail.ticks} for rail in rails],
        "lines": [
            {
                "heights": [round(height, 4) for height in heights],
                "good": goodness(study, heights[-1]),
                "best": candidate is study.best,
                "trial": candidate.trials[0].number,
                "text": _line_text(study, candidate),
            }
            for candidate, heights in zip(study.candidates, lines, strict=True)
        ],
    }


def _line_text(study: StudyResults, candidate: Candidate) -> list[str]:
    text = hover_text(study, candidate.trials[0])
    if len(candidate.trials) > 1:
        mean = study.metric.spread_text(candidate.spread)
        runs = f"{candidate.spread.n} {study.replicates}"
        text = [f"mean of {runs} {mean} (sd)", "the best of them:", *text]
    return text


def hover_text(study: StudyResults, trial: Trial) -> list[str]:
    """Lines about a trial, the first of which is its heading."""
    lines = [f"trial {trial.number}, {trial.state}"]
    if trial.spread and trial.spread.n > 1:
        spread = study.metric.spread_text(trial.spread)
        lines.append(f"{study.metric.words} {spread} (sd over {trial.spread.n} {study.replicates})")
    elif trial.last_value is not None:
        lines.append(f"{study.metric.words} {study.metric.text(trial.last_value)}")
    if trial.last_step is not None:
        lines[-1] += f", step {trial.last_step}"
    lines += [f"{study.short_names[name]} = {value_text(x)}" for name, x in trial.params.items()]
    return lines + ([textwrap.shorten(trial.reason, 240)] if trial.reason else [])


def _columns(study: StudyResults) -> list[dict[str, Any]]:
    """The columns of the table of trials: heading, whether set to the right, and cells.

    A cell is what it is sorted by, of which None comes last, and its text.
    """
    metric, trials = study.metric, study.trials
    values = [t.last_value for t in trials]
    shown = [None if value is None else metric.shown(value) for value in values]
    columns = [
        ("trial", "number", [(t.number, str(t.number)) for t in trials]),
        ("state", "what became of it", [(t.state, t.state) for t in trials]),
        (metric.label, "of running and pruned trials, the last one",
         [(x, metric.text(value)) for x, value in zip(shown, values, strict=True)]),
    ]  # fmt: skip
    if _has_repeats(study):
        spreads = [t.spread.sd if t.spread else None for t in trials]
        cells = [(sd, metric.text(sd)) for sd in spreads]
        columns.append(("sd", "standard deviation over its seeds", cells))
    for name in study.scales:
        cells = [(t.params[name], value_text(t.params[name])) if name in t.params else (None, "")
                 for t in trials]  # fmt: skip
        columns.append((study.short_names[name], name, cells))
    columns += [
        ("steps", "last training step that was evaluated",
         [(t.last_step, "" if t.last_step is None else str(t.last_step)) for t in trials]),
        ("seconds", "",
         [(t.seconds, "" if t.seconds is None else f"{t.seconds:.1f}") for t in trials]),
        ("reason", "why it failed or was pruned", [(t.reason, t.reason) for t in trials]),
    ]  # fmt: skip
    return [
        {"name": name, "title": title, "cells": cells, "number": _are_numbers(cells)}
        for name, title, cells in columns
    ]


def _are_numbers(cells: list[tuple[Any, str]]) -> bool:
    return all(
        key is None or (isinstance(key, int | float) and not isinstance(key, bool))
        for key, _ in cells
    )


def _has_repeats(study: StudyResults) -> bool:
    return any(len(trial.repeats) > 1 for trial in study.trials)
