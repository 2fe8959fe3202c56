"""Works on the trials of a study until none is left or a signal arrives.

Trials run one after the other, or several in one program where that is faster.
"""

import errno
import math
import os
import statistics
import time
import traceback
from collections.abc import Callable, Iterable

from cnnlab.errors import UserError, first_line
from cnnlab.sweep.study.reading import trial_folder
from cnnlab.sweep.study.study import Study
from cnnlab.sweep.workers.objective import Job, Objective, TrialResult
from cnnlab.sweep.workers.queue import take, take_others
from cnnlab.sweep.workers.trial import LostStudyError, Trial
from cnnlab.train.callbacks.pruning import Pruned
from cnnlab.train.runtime.signals import Interrupted, StopRequests

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Outcome = TrialResult | BaseException


class Worker:
    """Works on a study, which any number of workers in any processes can share."""

    def __init__(
        self,
        study: Study,
        objective: Objective,
        *,
        population: int = 1,
        workers: int = 1,
        ended: Callable[[], None] = lambda: None,
    ):
        """Creates a worker.

        Args:
          study: the study whose trials it takes.
          objective: computes the trials.
          population: number of runs that one program may train side by side.
          workers: number of workers that share the trials.
          ended: called after each trial.
        """
        self._study, self._objective, self._ended = study, objective, ended
        self._population, self._workers = population, workers
        self._repeats = study.spec.repeats

    def work(self) -> None:
        """Works until all trials have been taken.

        Raises:
          Interrupted: SIGTERM or SIGINT arrived; the trial is saved and returned to the queue.
          UserError: the disk is full, or the study's storage does not answer.
        """
        with StopRequests() as stop:
            while stop.signum is None:
                first = take(self._study, stop)
                if first is None:
                    return
                together = self._together(first, stop)
                if together:
                    self._run_together(together)
                else:
                    self._run(first)
                self._ended()
            raise Interrupted(stop.signum, 0)

    def _together(self, first: Trial, stop: StopRequests) -> list[Trial]:
        """Takes the trials to run side by side with the first; an empty list if it runs alone."""
        if self._population < 2 or self._objective.group(first.values) is None:
            return []
        waiting = 1 + self._study.to_take()
        most = max(min(self._population // self._repeats, -(-waiting // self._workers)), 1)
        if most * self._repeats < 2:
            return []
        if not self._objective.side_by_side(first.values, most * self._repeats):
            return []
        others = take_others(self._study, first, most - 1, self._objective.group, stop)
        return [first, *others] if others or self._repeats > 1 else []

    def _run(self, trial: Trial) -> None:
        """Runs one trial and records how it ended; raises only errors that concern all trials."""
        began = time.monotonic()
        outcomes = ((job, self._compute([job])[0]) for job in self._jobs(trial))
        result = _combine(trial, outcomes)
        self._record(trial, result, time.monotonic() - began)

    def _run_together(self, trials: list[Trial]) -> None:
        """As `_run`, for several trials side by side."""
        began = time.monotonic()
        jobs = [self._jobs(trial) for trial in trials]
        found = self._compute([job for own in jobs for job in own])
        if any(map(_is_out_of_memory, found)):
            for trial in trials:
                self._run(trial)
            return
        seconds = (time.monotonic() - began) / len(trials)
        outcomes, to_raise = iter(found), None
        for trial, own in zip(trials, jobs, strict=True):
            result = _combine(trial, [(job, next(outcomes)) for job in own])
            try:
                self._record(trial, result, seconds)
            except (Exception, KeyboardInterrupt) as error:
                to_raise = error  # when the others have been recorded or returned to the queue
        if to_raise is not None:
            raise to_raise

    def _jobs(self, trial: Trial) -> list[Job]:
        """The repeats that are not complete yet; none for a trial that the pruner has ended."""
        if trial.ended is not None:
            return []
        jobs = []
        for repeat in range(len(trial.outcomes), self._repeats):
            workdir = self._study.run_folder(trial.number, repeat)
            # The pruner sees the first repeat, and ends the others with it.
            report = trial.report if repeat == 0 else lambda step, value: trial.should_stop()
            jobs.append(Job(trial.values, repeat, workdir, report))
        return jobs

    def _compute(self, jobs: list[Job]) -> list[Outcome]:
        try:
            return self._objective.run(jobs)
        except (Exception, KeyboardInterrupt) as error:
            return [error] * len(jobs)

    def _record(self, trial: Trial, result: float | BaseException, seconds: float) -> None:
        """Ends a trial or returns it to the queue; raises errors that concern all trials."""
        match result:
            case float() if math.isfinite(result):
                trial.finish("complete", value=result, seconds=seconds)
            case float():
                trial.finish("failed", reason=f"its value is {result}", seconds=seconds)
            case Pruned() if trial.ended == "pruned":
                name = self._study.spec.pruner.partition("(")[0]
                reason = f"ended by {name} at step {result.step}"
                trial.finish("pruned", reason=reason, seconds=seconds)
            case Pruned():
                trial.release(seconds=seconds)
            case LostStudyError():
                raise result  # nothing can be recorded; the lease ends with this process
            case _ if _concerns_all(result):
                trial.release(seconds=seconds)
                raise result
            case _:
                self._keep_traceback(trial, result)
                trial.finish("failed", reason=reason_of(result), seconds=seconds)

    def _keep_traceback(self, trial: Trial, error: BaseException) -> None:
        """Writes the traceback of an unexpected error into the trial's folder."""
        if self._study.folder is not None and not isinstance(error, UserError):
            folder = trial_folder(self._study.folder, trial.number)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text("".join(traceback.format_exception(error)))


def _combine(trial: Trial, outcomes: Iterable[tuple[Job, Outcome]]) -> float | BaseException:
    """Records the complete repeats; returns their mean, or the error that ended the trial."""
    for job, outcome in outcomes:
        if isinstance(outcome, UserError) and job.repeat:
            return type(outcome)(f"In repeat {job.repeat}: {outcome}")
        if isinstance(outcome, BaseException):
            return outcome
        trial.add_outcome(outcome)
    if trial.ended is not None:
        return Pruned(trial.step)
    return statistics.fmean(value for value, _ in trial.outcomes)


def reason_of(error: BaseException) -> str:
    """Formats why a trial failed, in one line."""
    text = first_line(error)
    if _is_out_of_memory(error):
        return f"out of memory: {text}"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _is_out_of_memory(outcome: Outcome) -> bool:
    """Whether this machine or its device ran out of memory."""
    error = isinstance(outcome, BaseException)
    return error and (isinstance(outcome, MemoryError) or "RESOURCE_EXHAUSTED" in str(outcome))


def _concerns_all(error: BaseException | None) -> bool:
    """Whether an error stops all trials, not only this one: a signal, or a full disk."""
    seen = []
    while error is not None and error not in seen:
        if isinstance(error, Interrupted | KeyboardInterrupt):
            return True
        if getattr(error, "errno", None) in _FULL or os.strerror(errno.ENOSPC) in str(error):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False
