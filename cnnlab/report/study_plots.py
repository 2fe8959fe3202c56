"""Interactive figures of a study over its trials, as the JSON that plotly.js draws.

They show what `study_figures` shows, and say more of a trial under the pointer. The page puts in
what the points say (`hover_text`, once for each trial), and fonts and colours of axes, for it knows
whether it is light or dark: `templates/study.js`.
"""

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.report.study_data import Study, Trial, value_text
from cnnlab.report.study_figures import percent_text
from cnnlab.report.study_lanes import make_timeline
from cnnlab.report.study_params import choice_means, place

Plot = dict[str, Any]

# Between those of the pictures and white: seen on a light page and on a dark one.
COLORS = {
    "complete": "#2b8cd0",
    "pruned": "#8a929c",
    "failed": "#dd6331",
    "running": "#12a37c",
    "waiting": "#b4bac2",
    "best": "#e69f00",
}


def history(study: Study) -> Plot | None:
    """See `study_figures.plot_history`; None before anything was measured or failed."""
    data = []
    for state in ("pruned", "running", "complete"):
        trials = [t for t in study.with_state(state) if t.last_value is not None]
        data += _points(study, [t.number for t in trials], trials, state)
    best = study.running_best()
    if best:
        numbers, values = zip(*best, strict=True)
        line = {
            "x": [*numbers, study.trials[-1].number],
            "y": [study.metric.shown(value) for value in (*values, values[-1])],
            "mode": "lines",
            "line": {"shape": "hv", "color": COLORS["best"], "width": 2},
            "name": "best so far",
            "hoverinfo": "skip",
        }
        data = [line, *data, *_star(study, [study.best.trials[0].number])]
    failed = study.with_state("failed")
    data += _points(study, [t.number for t in failed], failed, "failed")
    if not data:
        return None
    figure = _figure(study, data, "trial")
    if len(study.trials) <= 12:  # else plotly.js makes ticks of half trials
        figure["layout"]["xaxis"]["dtick"] = 1
    return figure


def learning_curves(study: Study) -> Plot | None:
    """See `study_figures.plot_learning_curves`."""
    top = study.best.trials[0].number if study.best else None
    trials = sorted(
        (trial for trial in study.trials if trial.curve), key=lambda trial: trial.number == top
    )
    if not trials:
        return None
    data, named = [], set()
    for trial in trials:
        kind = "best" if trial.number == top else trial.state
        data.append(
            {
                "x": list(trial.curve),
                "y": [study.metric.shown(value) for value in trial.curve.values()],
                "mode": "lines" if len(trial.curve) > 1 else "markers",
                "line": {"color": COLORS[kind], "width": 3 if kind == "best" else 1.2},
                "marker": {"color": COLORS[kind]},
                "opacity": 1.0 if kind == "best" else 0.55,
                "name": f"best, trial {top}" if kind == "best" else kind,
                "legendgroup": kind,
                "showlegend": kind not in named,
                **_numbers([trial] * len(trial.curve)),
            }
        )
        named.add(kind)
    limits = study.metric_range([value for trial in trials for value in trial.curve.values()])
    return _figure(study, data, "step", limits=limits)


def importance(study: Study, shares: Mapping[str, float]) -> Plot | None:
    """See `study_figures.plot_importances`; None where there are no shares."""
    if not shares:
        return None
    names = list(shares)[::-1]
    data = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * shares[name] for name in names],
        "y": [study.short_names[name] for name in names],
        "text": [percent_text(shares[name]) for name in names],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": [COLORS["pruned" if n == "seed" else "complete"] for n in names]},
        "hovertext": [html.escape(name) for name in names],
        "hoverinfo": "text",
    }
    layout = {
        "xaxis": {
            "title": {"text": "share of the variance (%)"},
            "range": [0, 115 * max(shares.values())],
        },
        "yaxis": {"automargin": True, "ticksuffix": " "},
        "height": 110 + 30 * len(names),
    }
    return {"data": [data], "layout": layout}


def timeline(study: Study) -> Plot | None:
    """See `study_figures.plot_timeline`."""
    lines = make_timeline(study)
    if lines is None:
        return None
    top = study.best.trials[0].number if study.best else None
    bars = [(row, bar) for row, lane in enumerate(lines.lanes) for bar in lane]
    data = {
        "type": "bar",
        "orientation": "h",
        "base": [bar.start for _, bar in bars],
        "x": [bar.end - bar.start for _, bar in bars],
        "y": [row for row, _ in bars],
        "text": [str(bar.trial.number) for _, bar in bars],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "insidetextfont": {"color": "white"},
        "textangle": 0,
        "marker": {
            "color": [
                COLORS["best" if bar.trial.number == top else bar.trial.state] for _, bar in bars
            ]
        },
        **_numbers([bar.trial for _, bar in bars]),
    }
    layout = {
        "xaxis": {
            "title": {"text": f"{lines.unit} since {lines.start:%Y-%m-%d %H:%M}"},
            "range": [0, lines.length],
        },
        "yaxis": {"autorange": "reversed", "showticklabels": False, "showgrid": False},
        "bargap": 0.2,
        "uniformtext": {"mode": "hide", "minsize": 9},
        "height": 120 + 40 * len(lines.lanes),
    }
    return {"data": [data], "layout": layout}


def slices(study: Study) -> dict[str, Plot]:
    """A figure for each hyper-parameter that varies, by its path; see `plot_slices`."""
    if study.metric_range() is None:
        return {}
    return {name: _slice(study, name) for name in study.varied}


def _slice(study: Study, name: str) -> Plot:
    scale, data = study.scales[name], []
    for state in ("pruned", "complete"):
        trials = [t for t in study.with_state(state) if name in t.params]
        trials = [t for t in trials if t.last_value is not None]
        x = [place(scale, t.params[name], t.number) for t in trials]
        data += _points(study, x, trials, state)
    best = study.best.trials[0] if study.best else None
    if best and name in best.params:
        data += _star(study, [place(scale, best.params[name], best.number)])
    figure = _figure(study, data, study.short_names[name])
    axis = figure["layout"]["xaxis"]
    if scale.kind == "log":
        places = [scale.position(t.params[name]) for t in study.trials if name in t.params]
        axis |= {"type": "log", "exponentformat": "power"}
        axis |= {"dtick": 1} if max(places) - min(places) > 1.5 else {}
    elif scale.kind == "choice":
        texts = [html.escape(value_text(choice)) for choice in scale.choices]
        axis |= {"tickvals": list(range(len(texts))), "ticktext": texts, "showgrid": False}
        axis |= {"range": [-0.6, len(texts) - 0.4]}
        figure["data"] += [
            {
                "x": [index - 0.34, index + 0.34],
                "y": [mean, mean],
                "mode": "lines",
                "line": {"color": COLORS["complete"], "width": 2.5},
                "hoverinfo": "skip",
            }
            for index, mean in choice_means(study, name)
        ]
    figure["layout"] |= {"showlegend": False, "height": 250}
    return figure


def _figure(
    study: Study, data: list[Plot], x: str, *, limits: tuple[float, float] | None = None
) -> Plot:
    """A figure whose y axis is the metric."""
    limits = limits or study.metric_range()
    layout = {
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": study.metric.label}, "range": limits},
        # A second axis for what has no value: 0 is the lower edge, whatever the zoom.
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    }
    return {"data": data, "layout": layout}


def _points(study: Study, x: Sequence[float], trials: Sequence[Trial], state: str) -> list[Plot]:
    """A trace of trials at their last values, and another of those drawn at the edge."""
    edge = [t.last_value is None or study.clamped(t.last_value) != t.last_value for t in trials]
    if state == "failed":
        edge = [True] * len(trials)
    open_ = "" if state in ("complete", "failed") else "-open"
    at_edge = "x" if state == "failed" else f"triangle-{'down' if study.metric.sign > 0 else 'up'}"
    traces = []
    for outside in (False, True):
        chosen = [(a, t) for a, t, e in zip(x, trials, edge, strict=True) if e == outside]
        if not chosen:
            continue
        symbol = (at_edge if outside else "circle") + open_
        trace = {
            "x": [a for a, _ in chosen],
            "mode": "markers",
            "marker": {"color": COLORS[state], "symbol": symbol, "size": 8},
            "name": state,
            "legendgroup": state,
            "showlegend": not traces,
            **_numbers([t for _, t in chosen]),
        }
        if outside:
            low = state == "failed" or study.metric.sign > 0
            trace |= {"y": [0.03 if low else 0.97] * len(chosen), "yaxis": "y2"}
        else:
            trace["y"] = [study.metric.shown(t.last_value) for _, t in chosen]
            spreads = [t.spread for _, t in chosen]
            if any(s and s.n > 1 for s in spreads):
                ends = [study.metric.shown(s.high - s.mean) if s.n > 1 else 0.0 for s in spreads]
                trace["error_y"] = {"array": ends, "thickness": 1, "width": 0}
        traces.append(trace)
    return traces


def _star(study: Study, x: Sequence[float]) -> list[Plot]:
    """Marks the best trial."""
    best = study.best.trials[0]
    marker = {"symbol": "star", "size": 15, "color": COLORS["best"]}
    marker["line"] = {"color": "#000000", "width": 0.7}
    trace = {"x": list(x), "y": [study.metric.shown(best.value)], "mode": "markers", "name": "best"}
    return [trace | {"marker": marker, **_numbers([best])}]


def _numbers(trials: Sequence[Trial]) -> Plot:
    """Numbers of the points' trials, by which the page finds what they say, and their rows."""
    return {
        "customdata": [trial.number for trial in trials],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def hover_text(study: Study, trial: Trial) -> str:
    """Lines about a trial, as plotly.js has them: of HTML it knows a few tags."""
    lines = [f"<b>trial {trial.number}</b>, {trial.state}"]
    if trial.spread and trial.spread.n > 1:
        spread = study.metric.spread_text(trial.spread)
        lines.append(f"{study.metric.name} {spread} ({trial.spread.n} seeds)")
    elif trial.last_value is not None:
        lines.append(f"{study.metric.name} {study.metric.text(trial.last_value)}")
    if trial.last_step is not None:
        lines[-1] += f", step {trial.last_step}"
    lines += [
        html.escape(f"{study.short_names[name]} = {value_text(x)}", quote=False)
        for name, x in trial.params.items()
    ]
    reason = textwrap.shorten(trial.reason, 240)
    lines += [f"<i>{html.escape(s, quote=False)}</i>" for s in textwrap.wrap(reason, 48)]
    return "<br>".join(lines)
