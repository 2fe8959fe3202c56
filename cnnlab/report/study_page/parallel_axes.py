"""Axes that stand side by side: where each config of a study crosses them, and their ticks."""

import math
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from cnnlab.report.study_page.data import StudyResults
from cnnlab.units import value_text


class Rail(NamedTuple):
    """The axis of one hyper-parameter, or of the metric; heights are shares of it, in [0, 1].

    Attributes:
      label: its name.
      ticks: heights and texts, from low to high; the lowest is "unset" where some configs do not
        have the hyper-parameter.
      heights: where each config of the study crosses it, in the order of `StudyResults.candidates`.
    """

    label: str
    ticks: list[tuple[float, str]]
    heights: list[float]


def parallel_rails(study: StudyResults) -> list[Rail]:
    """A rail for each hyper-parameter that varies, then the metric's; empty with one config."""
    if not study.varied or len(study.candidates) < 2:
        return []
    return [*(make_rail(study, name) for name in study.varied), metric_rail(study)]


def goodness(study: StudyResults, height: float) -> float:
    """How good a height on the metric's rail is: 0 for the worst shown, 1 for the best."""
    return height if study.metric.sign > 0 else 1.0 - height


def make_rail(study: StudyResults, name: str) -> Rail:
    """The axis of a hyper-parameter, linear in `Scale.position`.

    Candidates with the same choice are spread out a little, the best on top, so that their lines
    can be told apart.
    """
    scale, candidates = study.scales[name], study.candidates
    known = [scale.position(c.params[name]) for c in candidates if name in c.params]
    if scale.kind == "choice":
        ticks = [(float(i), value_text(choice)) for i, choice in enumerate(scale.choices)]
        low, high = 0.0, max(len(scale.choices) - 1.0, 1.0)
    else:
        low, high = min(known, default=0.0), max(known, default=0.0)
        ticks = _log_ticks(low, high) if scale.kind == "log" else _ticks(low, high)
        if low == high:
            ticks = [(low, value_text(c.params[name])) for c in candidates if name in c.params][:1]
            low, high = low - 0.5, high + 0.5
    length = high - low
    unset = low - 0.2 * length
    places = [scale.position(c.params[name]) if name in c.params else unset for c in candidates]
    if unset in places:
        low, ticks = unset, [(unset, "unset"), *ticks]
        places = _spread(places, unset, 0.05 * length)
    if scale.kind == "choice":
        for index in range(len(scale.choices)):
            places = _spread(places, float(index), 0.2)
        low, high = low - 0.1, high + 0.1
    return _rail(study.short_names[name], low, high, ticks, places)


def metric_rail(study: StudyResults) -> Rail:
    """The axis of the metric down to `StudyResults.worst_shown`."""
    means = [study.clamped(candidate.spread.mean) for candidate in study.candidates]
    shown = [study.metric.shown(mean) for mean in means]
    low, high = min(shown), max(shown)
    ticks = _ticks(low, high)
    if low == high:
        ticks, low, high = [(low, f"{low:.4g}")], low - 0.5, high + 0.5
    return _rail(study.metric.label, low, high, ticks, shown)


def _rail(
    label: str, low: float, high: float, ticks: list[tuple[float, str]], places: list[float]
) -> Rail:
    """A rail from positions on an axis with these ends."""

    def height(position: float) -> float:
        return (position - low) / (high - low)

    return Rail(label, [(height(x), text) for x, text in ticks], list(map(height, places)))


def _spread(places: list[float], place: float, width: float) -> list[float]:
    """Shares a width around `place` out among those that lie there, the first on top."""
    count = places.count(place)
    offsets = (width * (0.5 - rank / max(count - 1, 1)) for rank in range(count))
    return [x + next(offsets) if x == place and count > 1 else x for x in places]


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    values = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [(float(x), f"{x:.6g}") for x in values if low <= x <= high]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten, and what lies between where there are too few."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [(d + math.log10(f), f"{f * 10.0**d:.3g}") for d in decades for f in factors]
        ticks = [(x, text) for x, text in ticks if low <= x <= high]
        if len(ticks) >= 3:
            break
    return ticks
