"""When the trials of a study ran, sorted into lanes in which none overlaps another."""

import dataclasses
import datetime

from cnnlab.report.study_page.data import StudyResults, Trial

_UNITS = (("hours", 3600.0, 3.0), ("minutes", 60.0, 3.0), ("seconds", 1.0, 0.0))


@dataclasses.dataclass(frozen=True)
class Bar:
    """A trial in its lane.

    Attributes:
      trial: the trial.
      start: when it began, after the study's start.
      end: when it finished, or the last time that anything is known of.
    """

    trial: Trial
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Timeline:
    """All trials that have begun.

    Attributes:
      lanes: as many as trials ran at the same time.
      length: from the first start to the last time that is known, above zero.
      unit: of the times: `seconds`, `minutes` or `hours`.
      start: when the first trial began.
    """

    lanes: tuple[tuple[Bar, ...], ...]
    length: float
    unit: str
    start: datetime.datetime


def make_timeline(study: StudyResults) -> Timeline | None:
    """Puts each trial into the first lane that is free when it begins; None before the first."""
    begun = sorted((t for t in study.trials if t.started), key=lambda t: (t.started, t.number))
    if not begun:
        return None
    start = begun[0].started
    known = max(time for t in begun for time in (t.started, t.ended) if time)
    known = max(known, start + datetime.timedelta(seconds=1))  # of the first that has just begun
    length = (known - start).total_seconds()
    unit, size = next((name, size) for name, size, least in _UNITS if length >= least * size)
    lanes: list[list[Bar]] = []
    for trial in begun:
        ended = trial.ended or known
        bar = Bar(trial, *(((t - start).total_seconds() / size) for t in (trial.started, ended)))
        # A worker takes its next trial at once: clocks of two machines may say a little earlier.
        slack = 0.001 * length / size
        lane = next((lane for lane in lanes if lane[-1].end <= bar.start + slack), None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(bar)
    return Timeline(tuple(map(tuple, lanes)), length / size, unit, start)
