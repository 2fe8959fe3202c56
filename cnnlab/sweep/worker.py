"""Takes trials of a study, until there is none left or a signal arrives.

One after the other; or several together, where those are computed faster side by side.
"""

import errno
import os
import statistics
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from optuna.trial import TrialState

from cnnlab.errors import UserError
from cnnlab.sweep.claim import Claim, Nothing
from cnnlab.sweep.ledger import Ledger
from cnnlab.sweep.objective import Job, Objective, Outcome, repeat_folder, trial_folder
from cnnlab.sweep.pruner import Pruner
from cnnlab.sweep.referee import LostStudyError, Referee
from cnnlab.train.interrupts import Interrupted, StopRequests
from cnnlab.train.watch import Pruned

_PAUSE = 0.2  # seconds between two looks for a trial
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Result = float | BaseException  # the mean over the repeats, or what ended the trial


class Worker:
    """Works on a study; several of them, in any processes, share it."""

    def __init__(
        self,
        ledger: Ledger,
        objective: Objective,
        pruner: Pruner,
        *,
        sign: int,
        repeats: int = 1,
        folder: Path | None = None,
        population: int = 1,
        workers: int = 1,
        ended: Callable[[], None] = lambda: None,
    ):
        """Builds a worker.

        Args:
          ledger: gives out the trials.
          objective: what a trial computes.
          pruner: when a trial is ended early.
          sign: 1 where larger values are better, -1 where smaller ones are.
          repeats: of each trial, with seeds that count up. The value is their mean. The first one
            is what the pruner sees.
          folder: of the study; None for objectives that need none.
          population: how many runs may be computed side by side.
          workers: how many there are, who share the trials.
          ended: called after each trial.
        """
        self._ledger, self._objective, self._pruner = ledger, objective, pruner
        self._sign, self._repeats, self._folder, self._ended = sign, repeats, folder, ended
        self._population, self._workers = population, workers

    def work(self) -> None:
        """Works until all trials have been taken.

        Raises:
          Interrupted: SIGTERM or SIGINT; the trial is saved and put back.
          UserError: the disk is full, or the study's storage is gone.
        """
        with StopRequests() as stop:
            while stop.signum is None:
                claim = self._ledger.take()
                if claim is Nothing.LEFT:
                    return
                if claim is Nothing.YET:
                    time.sleep(_PAUSE)
                    continue
                together = self._together(claim)
                if together:
                    self._run_together(together, stop)
                else:
                    self._run(claim, stop)
                self._ended()
            raise Interrupted(stop.signum, 0)

    def _run(self, claim: Claim, stop: StopRequests) -> None:
        """Runs one trial and records how it ended; raises only what concerns all trials."""
        referee = Referee(self._ledger, self._pruner, claim, sign=self._sign, stop=stop)
        began = time.monotonic()
        try:
            if referee.decide():
                raise Pruned(max(claim.curve, default=0))
            result: Result = self._repeat(claim, referee)
        except (Exception, KeyboardInterrupt) as error:
            result = error
        self._record(claim, referee, result, time.monotonic() - began)

    def _repeat(self, claim: Claim, referee: Referee) -> float:
        """Computes the repeats that are not done yet; returns the mean of all."""
        done, tests = list(claim.repeats), list(claim.tests)
        for job in self._jobs(claim, referee):
            try:
                outcome = self._objective.run(job)
            except UserError as error:
                if job.repeat == 0:
                    raise
                raise _of_repeat(job.repeat, error) from error
            done.append(outcome.value)
            tests.append(outcome.test)
            self._ledger.note(claim, repeats=done, tests=tests)
        return statistics.fmean(done)

    def _jobs(self, claim: Claim, referee: Referee) -> list[Job]:
        """The repeats that are not done yet."""
        jobs = []
        for repeat in range(len(claim.repeats), self._repeats):
            workdir = None
            if self._folder is not None:
                workdir = repeat_folder(self._folder, claim.number, repeat, self._repeats)
            tell = referee.report if repeat == 0 else referee.hear
            jobs.append(Job(claim.values, repeat, workdir, tell))
        return jobs

    def _together(self, claim: Claim) -> list[Claim]:
        """Takes the trials to be computed side by side with this one; none: it is run alone."""
        waiting = 1 + self._ledger.to_take()
        most = min(self._population // self._repeats, -(-waiting // self._workers))
        if self._population < 2 or self._objective.group(claim.values) is None:
            return []
        options = {"most": most - 1, "group": self._objective.group,
                   "consecutive": self._pruner.name != "none"}  # fmt: skip
        members = (1 + self._ledger.count_others(claim, **options)) * self._repeats
        if members < 2 or not self._objective.side_by_side(claim.values, members):
            return []
        return [claim, *self._ledger.take_others(claim, **options)]

    def _run_together(self, claims: list[Claim], stop: StopRequests) -> None:
        """As `_run` for several trials side by side."""
        numbers = {claim.number for claim in claims}
        jobs: list[Job] = []
        places: list[tuple[Claim, Referee, list[Job]]] = []
        began = time.monotonic()
        for claim in claims:
            referee = Referee(
                self._ledger, self._pruner, claim, sign=self._sign, stop=stop, beside=numbers
            )
            if referee.decide():
                self._record(claim, referee, Pruned(max(claim.curve, default=0)), 0.0)
            else:
                places.append((claim, referee, self._jobs(claim, referee)))
                jobs += places[-1][2]
        try:
            found: list[Outcome | BaseException] = list(self._objective.run_group(jobs))
        except (Exception, KeyboardInterrupt) as error:
            if _is_out_of_memory(error):
                for claim, _, _ in places:
                    self._run(claim, stop)
                return
            found = [error] * len(jobs)
        outcomes = iter(found)
        seconds = (time.monotonic() - began) / max(len(places), 1)
        to_raise = None
        for claim, referee, own in places:
            result = self._combine(claim, [(job.repeat, next(outcomes)) for job in own])
            try:
                self._record(claim, referee, result, seconds)
            except (Exception, KeyboardInterrupt) as error:
                to_raise = error  # when the others have been recorded or put back
        if to_raise is not None:
            raise to_raise

    def _combine(self, claim: Claim, found: list[tuple[int, Outcome | BaseException]]) -> Result:
        for repeat, outcome in found:
            if isinstance(outcome, BaseException):
                return _of_repeat(repeat, outcome)
        done = [*claim.repeats, *(outcome.value for _, outcome in found)]
        tests = [*claim.tests, *(outcome.test for _, outcome in found)]
        self._ledger.note(claim, repeats=done, tests=tests)
        return statistics.fmean(done)

    def _record(self, claim: Claim, referee: Referee, result: Result, seconds: float) -> None:
        """Ends a trial or puts it back; raises what concerns all trials."""
        seconds = round(claim.seconds + seconds, 3)
        match result:
            case Pruned() if referee.ended == "pruned":
                reason = f"ended by {self._pruner.name} at step {result.step}"
                self._ledger.finish(claim, TrialState.PRUNED, seconds=seconds, reason=reason)
            case Pruned():
                self._ledger.release(claim, seconds=seconds)
            case Interrupted() | KeyboardInterrupt():
                self._ledger.release(claim, seconds=seconds)
                raise result
            case LostStudyError():
                raise result  # nothing can be recorded; the lease ends with this process
            case BaseException() if _is_full_disk(result):
                self._ledger.release(claim, seconds=seconds)
                raise result
            case BaseException():
                self._keep_traceback(claim, result)
                reason = reason_of(result)
                self._ledger.finish(claim, TrialState.FAIL, seconds=seconds, reason=reason)
            case _:
                self._ledger.finish(claim, TrialState.COMPLETE, value=result, seconds=seconds)

    def _keep_traceback(self, claim: Claim, error: BaseException) -> None:
        """For errors that are nobody's wish: the place in the code, beside the trial."""
        if self._folder is not None and not isinstance(error, UserError):
            folder = trial_folder(self._folder, claim.number)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text("".join(traceback.format_exception(error)))


def _of_repeat(repeat: int, error: BaseException) -> BaseException:
    """A mistake that says in which repeat it was; other errors as they are."""
    if repeat and isinstance(error, UserError):
        return type(error)(f"In repeat {repeat}: {error}")
    return error


def reason_of(error: BaseException) -> str:
    """Why a trial failed, in one line."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    if _is_out_of_memory(error):
        return f"out of memory: {text}"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether this machine or its device had not enough memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _is_full_disk(error: BaseException | None) -> bool:
    """Whether no trial can go on, this one as little as the next."""
    seen = []
    while error is not None and error not in seen:
        if getattr(error, "errno", None) in _FULL or os.strerror(errno.ENOSPC) in str(error):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False
