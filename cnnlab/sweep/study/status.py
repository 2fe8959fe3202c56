"""How a study stands while it runs, in a few lines of text."""

import datetime

from cnnlab.report.study_page.data import StudyResults, Trial
from cnnlab.sweep.study.tables import config_text


def status_text(study: StudyResults, *, now: datetime.datetime | None = None) -> str:
    """Counts by state, the best so far, the time that is left, and what runs.

    Args:
      study: as it stands.
      now: the present, in local time as Optuna has it; None asks the clock.
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
    """An estimate of the time until all trials are done; None where nothing tells.

    Finished trials took so long on average, pruned ones included; those that are left are shared
    out over as many at a time as run now.
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
    """A duration in its two largest units."""
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
