"""Axes that stand side by side: where a hyper-parameter's values lie on one, and its ticks."""

import dataclasses
import math

from matplotlib.ticker import MaxNLocator

from cnnlab.report.study_page.data import Candidate, StudyResults, value_text


@dataclasses.dataclass(frozen=True)
class Rail:
    """The axis of one hyper-parameter, linear in positions (`Scale.position`).

    Attributes:
      label: its name.
      low: the least position, that of "unset" where some trials do not have it.
      high: the largest.
      ticks: positions and texts, from low to high.
    """

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def height(self, position: float) -> float:
        """A position as a share of the axis, in [0, 1]."""
        return (position - self.low) / (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class Line:
    """A config of the study.

    Attributes:
      candidate: the config.
      heights: where it crosses each rail, in [0, 1].
      good: how good its metric is, from the worst that is shown, 0, to the best, 1.
      best: whether it is the best one.
    """

    candidate: Candidate
    heights: tuple[float, ...]
    good: float
    best: bool


def candidate_lines(study: StudyResults) -> tuple[list[Rail], list[Line]]:
    """The axes and a line for each config, the best first; empty where nothing can be compared."""
    if not study.varied or len(study.candidates) < 2:
        return [], []
    drawn = [*(make_rail(study, name) for name in study.varied), metric_rail(study)]
    lines = []
    for rank, candidate in enumerate(study.candidates):
        heights = tuple(rail.height(places[rank]) for rail, places in drawn)
        good = heights[-1] if study.metric.sign > 0 else 1.0 - heights[-1]
        lines.append(Line(candidate, heights, good, rank == 0))
    return [rail for rail, _ in drawn], lines


def make_rail(study: StudyResults, name: str) -> tuple[Rail, list[float]]:
    """The axis of a hyper-parameter, and the position of every candidate of the study on it.

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
    return Rail(study.short_names[name], low, high, tuple(ticks)), places


def _spread(places: list[float], place: float, width: float) -> list[float]:
    """Shares a width around `place` out among those that lie there, the first on top."""
    count = places.count(place)
    offsets = (width * (0.5 - rank / max(count - 1, 1)) for rank in range(count))
    return [x + next(offsets) if x == place and count > 1 else x for x in places]


def metric_rail(study: StudyResults) -> tuple[Rail, list[float]]:
    """The axis of the metric down to `StudyResults.worst_shown`, and the candidates on it."""
    means = [study.clamped(candidate.spread.mean) for candidate in study.candidates]
    shown = [study.metric.shown(mean) for mean in means]
    low, high = min(shown), max(shown)
    ticks = _ticks(low, high)
    if low == high:
        ticks, low, high = [(low, f"{low:.4g}")], low - 0.5, high + 0.5
    return Rail(study.metric.label, low, high, tuple(ticks)), shown


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
