"""Takes trials of a study one after the other, until there is none left or a signal arrives."""

import errno
import os
import statistics
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from optuna.trial import TrialState

from cnnlab.errors import UserError
from cnnlab.sweep.ledger import Claim, Ledger, Nothing
from cnnlab.sweep.objective import Objective, repeat_folder, trial_folder
from cnnlab.sweep.pruner import Pruner
from cnnlab.sweep.referee import LostStudyError, Referee
from cnnlab.train.interrupts import Interrupted, StopRequests
from cnnlab.train.watch import Pruned

_PAUSE = 0.2  # seconds between two looks for a trial
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


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
          ended: called after each trial.
        """
        self._ledger, self._objective, self._pruner = ledger, objective, pruner
        self._sign, self._repeats, self._folder, self._ended = sign, repeats, folder, ended

    def work(self) -> None:
        """Works until all trials have been taken.

        Raises:
          Interrupted: SIGTERM or SIGINT; the trial is saved and put back.
          UserError: the disk is full, or the study's storage is gone.
        """
        with StopRequests() as stop:
            while stop.signum is None:
                claims = self._ledger.take()
                if claims is Nothing.LEFT:
                    return
                if claims is Nothing.YET:
                    time.sleep(_PAUSE)
                    continue
                self._run(claims[0], stop)
                self._ended()
            raise Interrupted(stop.signum, 0)

    def _run(self, claim: Claim, stop: StopRequests) -> None:
        """Runs one trial and records how it ended; raises only what concerns all trials."""
        referee = Referee(self._ledger, self._pruner, claim, sign=self._sign, stop=stop)
        began = time.monotonic()
        try:
            if referee.decide():
                raise Pruned(max(claim.curve, default=0))
            result: float | BaseException = self._repeat(claim, referee)
        except (Exception, KeyboardInterrupt) as error:
            result = error
        self._record(claim, referee, result, time.monotonic() - began)

    def _record(
        self, claim: Claim, referee: Referee, result: float | BaseException, seconds: float
    ) -> None:
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

    def _repeat(self, claim: Claim, referee: Referee) -> float:
        """Computes the repeats that are not done yet; returns the mean of all."""
        done, tests = list(claim.repeats), list(claim.tests)
        for repeat in range(len(done), self._repeats):
            workdir = None
            if self._folder is not None:
                workdir = repeat_folder(self._folder, claim.number, repeat, self._repeats)
            tell = referee.report if repeat == 0 else referee.hear
            try:
                outcome = self._objective.run(claim.values, repeat, workdir, tell)
            except UserError as error:
                if repeat:
                    raise type(error)(f"In repeat {repeat}: {error}") from error
                raise
            done.append(outcome.value)
            tests.append(outcome.test)
            self._ledger.note(claim, repeats=done, tests=tests)
        return statistics.fmean(done)

    def _keep_traceback(self, claim: Claim, error: BaseException) -> None:
        """For errors that are nobody's wish: the place in the code, beside the trial."""
        if self._folder is not None and not isinstance(error, UserError):
            folder = trial_folder(self._folder, claim.number)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text("".join(traceback.format_exception(error)))


def reason_of(error: BaseException) -> str:
    """Why a trial failed, in one line."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return f"out of memory: {text}"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _is_full_disk(error: BaseException | None) -> bool:
    """Whether no trial can go on, this one as little as the next."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL or os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
