"""The progress of a study in a few lines of text."""

import datetime

from cnnlab.report.study_page.data import StudyResults, Trial
from cnnlab.sweep.study.tables import config_text


def status_text(study: StudyResults, *, now: datetime.datetime | None = None) -> str:
    """Formats counts by state, the best config so far, the time left, and the running trials.

    Args:
      study: current results.
      now: the present in local time, which Optuna uses; None reads the clock.
    """
    now = now or datetime.datetime.now()
    done = sum(study.counts.get(state, 0) for state in ("complete", "pruned", "failed"))
    of = f" of {study.total}" if study.total else ""
    counts = ", ".join(f"{count} {state}" for state, count in study.counts.items())
    lines = [f"study {study.name}: {done}{of} trials done ({counts or 'none has begun'})"]
    if study.best:
        best = study.best
        seeds = f" (mean and sd of {best.spread.n} {study.replicates})" if best.spread.n > 1 else ""
        lines.append(
            f"best so far: {study.metric.words} {study.metric.spread_text(best.spread)}{seeds}, "
            f"trial {best.trials[0].number}: {config_text(study, best.params)}"
        )
    left = seconds_left(study, now)
    if left is not None:
        lines.append(f"time left: about {duration_text(left)}")
    lines += [_running_line(study, trial, now) for trial in study.with_state("running")]
    failed = study.with_state("failed")
    if failed:
        lines.append(f"last failure: trial {failed[-1].number}: {failed[-1].reason or 'unknown'}")
    return "\n".join(lines)


def seconds_left(study: StudyResults, now: datetime.datetime) -> float | None:
    """Estimates the time until all trials are done; None if there is nothing to go by.

    Each remaining trial is expected to take the mean time of the finished ones, pruned ones
    included, and as many to run at a time as now.
    """
    spent = [t.seconds for t in study.with_state("complete", "pruned") if t.seconds is not None]
    running = study.with_state("running")
    if study.total is None or not spent or not running:
        return None
    mean = sum(spent) / len(spent)
    done = sum(study.counts.get(state, 0) for state in ("complete", "pruned", "failed"))
    waiting = max(study.total - done - len(running), 0)
    rest = [max(mean - (now - t.started).total_seconds(), 0.0) for t in running if t.started]
    return max((waiting * mean + sum(rest)) / len(running), max(rest, default=0.0))


def duration_text(seconds: float) -> str:
    """Formats a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _running_line(study: StudyResults, trial: Trial, now: datetime.datetime) -> str:
    for_ = f", {duration_text((now - trial.started).total_seconds())}" if trial.started else ""
    at = (
        f"step {trial.last_step}, {study.metric.name} {study.metric.text(trial.last_value)}"
        if trial.curve
        else "no evaluation yet"
    )
    return f"running: trial {trial.number}{for_}, {at}: {config_text(study, trial.params)}"
