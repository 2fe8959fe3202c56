"""Charts of a study over its trials: history, learning curves, one hyper-parameter at a time.

Trials that were pruned or still run are drawn at their last value, failed ones at the edge; so are
outliers, those beyond `StudyResults.worst_shown`, as triangles.
"""

from collections.abc import Sequence

import numpy as np

from cnnlab.report.charts import Axis, Chart, Series, widened
from cnnlab.report.study_page.data import Scale, StudyResults, Trial
from cnnlab.units import value_text


def history(study: StudyResults) -> Chart | None:
    """The metric of each trial and the best so far; None while no trial has a value or has failed.

    Bars are 95 % confidence intervals of trials that were repeated over seeds.
    """
    series = []
    for state in ("pruned", "running", "complete"):
        trials = [t for t in study.with_state(state) if t.last_value is not None]
        series += _points(study, [t.number for t in trials], trials, state)
    best = study.running_best()
    if best:
        corners = [(number, study.metric.shown(value)) for number, value in best]
        steps = [corners[0]]
        for x, y in [*corners[1:], (study.trials[-1].number, corners[-1][1])]:
            steps += [(x, steps[-1][1]), (x, y)]
        series = [Series(steps, "best", "best so far", width=2.0), *series]
        series += _star(study, study.best.trials[0].number)
    failed = study.with_state("failed")
    series += _points(study, [t.number for t in failed], failed, "failed")
    if not series:
        return None
    last = study.trials[-1].number
    return Chart("history", Axis("trial", (-0.5, last + 0.5), whole=True), _metric(study), series)


def learning_curves(study: StudyResults) -> Chart | None:
    """The metric while each trial was trained, the best in front; None where none was reported."""
    top = study.best.trials[0].number if study.best else None
    trials = sorted(
        (trial for trial in study.trials if trial.curve), key=lambda trial: trial.number == top
    )
    if not trials:
        return None
    series = []
    for trial in trials:
        points = [(step, study.metric.shown(value)) for step, value in trial.curve.items()]
        best = trial.number == top
        look = {"color": "best" if best else trial.state, "opacity": 1.0 if best else 0.55}
        name = f"best, trial {top}" if best else trial.state
        series.append(Series(points, name=name, width=2.6 if best else 1.2, **look))
        ends = {"trials": [trial.number], "mark": "dot", "size": 2.5}
        series.append(Series(points[-1:], **look, **ends))
    values = [value for trial in trials for value in trial.curve.values()]
    last = max(step for trial in trials for step in trial.curve)
    return Chart("learning curves", Axis("step", (0, 1.02 * last)), _metric(study, values), series)


def slices(study: StudyResults) -> dict[str, Chart]:
    """A chart for each hyper-parameter that varies, by its path; lines are means of choices."""
    if study.metric_range() is None:
        return {}
    return {name: _slice(study, name) for name in study.varied}


def _slice(study: StudyResults, name: str) -> Chart:
    scale, series, places = study.scales[name], [], []
    for state in ("pruned", "complete"):
        trials = [t for t in study.with_state(state) if name in t.params]
        trials = [t for t in trials if t.last_value is not None]
        x = [_place(scale, t.params[name], t.number) for t in trials]
        series += _points(study, x, trials, state)
        places += x
    best = study.best.trials[0] if study.best else None
    if best and name in best.params:
        series += _star(study, _place(scale, best.params[name], best.number))
    label = study.short_names[name]
    if scale.kind == "choice":
        texts = enumerate(map(value_text, scale.choices))
        axis = Axis(label, (-0.6, len(scale.choices) - 0.4), ticks=tuple(texts))
        complete = [t for t in study.with_state("complete") if name in t.params]
        for index, choice in enumerate(scale.choices):
            values = [t.value for t in complete if t.params[name] == choice]
            if values:
                mean = study.metric.shown(float(np.mean(values)))
                ends = [(index - 0.34, mean), (index + 0.34, mean)]
                series.append(Series(ends, "complete", width=2.5))
    else:
        ends = (min(places), max(places)) if places else (1.0, 1.0)
        axis = Axis(label, widened(*ends, scale.kind), scale.kind)
    return Chart(f"{study.metric.label} over {label}", axis, _metric(study), series, height=250)


def _place(scale: Scale, value: object, number: int) -> float:
    """Position of a trial over a hyper-parameter; trials of one choice are spread out a little.

    By the golden ratio, so that a trial lies in the same place in every picture.
    """
    if scale.kind != "choice":
        return float(value)
    return scale.position(value) + 0.5 * (number * 0.618034 % 1.0 - 0.5)


def _metric(study: StudyResults, values: Sequence[float] | None = None) -> Axis:
    return Axis(study.metric.label, study.metric_range(values) or (0.0, 1.0))


def _points(
    study: StudyResults, xs: Sequence[float], trials: Sequence[Trial], state: str
) -> list[Series]:
    """Trials at their last values, and a series of those that are drawn at the edge."""
    found = []
    for outside in (False, True):
        chosen = [
            (x, trial)
            for x, trial in zip(xs, trials, strict=True)
            if outside == (state == "failed" or study.clamped(trial.last_value) != trial.last_value)
        ]
        if not chosen:
            continue
        low = state == "failed" or study.metric.sign > 0
        mark = "cross" if state == "failed" else "down" if low else "up"
        found.append(
            Series(
                [(x, *_values(study, trial)) for x, trial in chosen],
                state,
                f"{state}, worse than shown" if outside and state != "failed" else state,
                mark=mark if outside else "dot",
                open=state not in ("complete", "failed"),
                edge=("low" if low else "high") if outside else "",
                trials=[trial.number for _, trial in chosen],
            )
        )
    return found


def _values(study: StudyResults, trial: Trial) -> tuple[float, ...]:
    """The last value, and the ends of its interval where a trial has one."""
    value = study.metric.shown(trial.last_value or 0.0)
    if trial.spread is None or trial.spread.n == 1:
        return (value,)
    return (value, *map(study.metric.shown, study.metric.interval(trial.spread)))


def _star(study: StudyResults, x: float) -> list[Series]:
    best = study.best.trials[0]
    look = {"mark": "star", "size": 5.0, "trials": [best.number]}
    return [Series([(x, study.metric.shown(best.value))], "best", "best", **look)]
