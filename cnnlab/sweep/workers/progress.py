"""Reports the progress of a study: a line for each trial that ends, in any worker, and its page."""

import time
from collections.abc import Callable

from cnnlab.report.study_page.data import StudyResults, Trial
from cnnlab.sweep.study.study import Study
from cnnlab.units import value_text

_ENDED = ("complete", "pruned", "failed")


_EVERY = 30.0  # seconds between two updates of the page, at least
_SHARE = 0.05  # of the time that updates may take


class ProgressReporter:
    """Reports the trials that have ended since the last call."""

    def __init__(self, study: Study, report: Callable[[str], None], *, write: bool = False):
        """Starts to report; trials that have already ended are left out.

        Args:
          study: study to report on.
          report: called with a line for each trial that ends.
          write: whether to also write the study's table, pictures and page from time to time.
        """
        self._study, self._report, self._write = study, report, write
        self._due = time.monotonic() + _EVERY
        self._told = {t.number for t in study.results().with_state(*_ENDED)}

    def tell(self) -> None:
        """Reports them, in the order in which they ended."""
        states = [trial.state.is_finished() for trial in self._study.trials()]
        if sum(states) == len(self._told):
            return
        results = self._study.results()
        new = [t for t in results.with_state(*_ENDED) if t.number not in self._told]
        for trial in sorted(new, key=lambda trial: trial.ended):
            self._told.add(trial.number)
            self._report(trial_line(results, trial, done=len(self._told)))
        began = time.monotonic()
        if self._write and began >= self._due:
            self._study.write_results()
            ended = time.monotonic()
            self._due = ended + max(_EVERY, (ended - began) / _SHARE)


def trial_line(results: StudyResults, trial: Trial, *, done: int) -> str:
    """Formats how a trial ended, with its hyper-parameters."""
    width, metric = len(str(results.total)), results.metric
    if trial.state == "failed":
        what = f"failed: {trial.reason}"
    elif trial.state == "pruned":
        what = f"{metric.name} {metric.text(trial.last_value)}, {trial.reason}"
    else:
        best = results.best is not None and results.best.trials[0].number == trial.number
        star = "  (best so far)" if best else ""
        what = f"{metric.name} {metric.spread_text(trial.spread)}{star}"
    params = "  ".join(
        f"{results.short_names[name]}={value_text(x)}" for name, x in trial.params.items()
    )
    seconds = f"  {trial.seconds:.1f} s" if trial.seconds is not None else ""
    return f"[{done:{width}}/{results.total}] trial {trial.number}  {params}  {what}{seconds}"
