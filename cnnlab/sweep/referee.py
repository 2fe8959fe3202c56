"""Judges a trial while it runs: passes on what it reports, and ends it early."""

import time
from collections.abc import Set

from optuna.trial import FrozenTrial

from cnnlab.errors import UserError
from cnnlab.sweep.claim import Claim
from cnnlab.sweep.ledger import Ledger
from cnnlab.sweep.pruner import Curve, Pruner
from cnnlab.train.interrupts import StopRequests

_PAUSE = 0.2  # seconds between two looks at trials that are waited for


class LostStudyError(UserError):
    """The study's storage does not answer any more."""


class Referee:
    """Of one trial.

    Attributes:
      ended: why the trial was told to end: `pruned`; `aside`, for an abandoned trial that others
        wait for must be run first; or `interrupted`. None while it may go on.
    """

    def __init__(
        self,
        ledger: Ledger,
        pruner: Pruner,
        claim: Claim,
        *,
        sign: int,
        stop: StopRequests,
        beside: Set[int] = frozenset(),
    ):
        """Builds the referee.

        Args:
          ledger: of the study.
          pruner: its rule.
          claim: the trial.
          sign: 1 where larger values are better, -1 where smaller ones are.
          stop: tells of signals to this process.
          beside: numbers of trials that are computed in step with this one, the lower ones first:
            one that has not come as far when this one asks has ended.
        """
        self.ended: str | None = None
        self._ledger, self._pruner, self._claim = ledger, pruner, claim
        self._sign, self._stop, self._beside = sign, stop, beside
        self._curve = dict(claim.curve)

    def report(self, step: int, value: float) -> bool:
        """Notes a value; True if the trial should end here.

        What a resumed trial reports once more is the same value, and is not noted again.
        """
        if step not in self._curve:
            try:
                self._ledger.report(self._claim, step, value)
            except Exception as error:
                raise LostStudyError(
                    f"The study's storage failed: {_first_line(error)}."
                ) from error
            self._curve[step] = value
            return self.decide()
        return False

    def hear(self, step: int, value: float) -> bool:
        """As `report` for a repeat that is not judged: only a signal ends it."""
        if self._stop.signum is not None:
            self.ended = "interrupted"
        return self.ended is not None

    def decide(self) -> bool:
        """Whether the trial should end after what it has reported last.

        Also to be asked before a trial is resumed: its worker may have died before the answer.
        """
        number, count = self._claim.number, len(self._curve)
        if self._stop.signum is not None:
            self.ended = "interrupted"
        elif count and self._pruner.asks_at(number, count):
            others = self._others(count)
            if others is not None and self._pruner.ends(number, self._own(), others):
                self.ended = "pruned"
        return self.ended is not None

    def _own(self) -> Curve:
        return _signed(self._curve, self._sign, len(self._curve))

    def _others(self, count: int) -> dict[int, Curve] | None:
        """Curves up to evaluation `count` of the trials that this one is compared with.

        Waits until those that a study with a lag looks at have come as far or have ended. None if
        that cannot be, for this process must first do something else.
        """
        lag, number = self._ledger.lag, self._claim.number
        while True:
            trials = self._ledger.trials()
            if lag is None:
                seen = [trial for trial in trials if trial.number != number]
                break
            seen = trials[: max(number - lag + 1, 0)]
            late = [t for t in seen if _is_late(t, count) and t.number not in self._beside]
            if not late:
                break
            if set(self._ledger.abandoned(late)):
                self.ended = "aside"
                return None
            time.sleep(_PAUSE)
            if self._stop.signum is not None:
                self.ended = "interrupted"
                return None
        return {
            trial.number: _signed(trial.intermediate_values, self._sign, count) for trial in seen
        }


def _is_late(trial: FrozenTrial, count: int) -> bool:
    return not trial.state.is_finished() and len(trial.intermediate_values) < count


def _signed(curve: dict[int, float], sign: int, count: int) -> Curve:
    return [sign * value for _, value in sorted(curve.items())][:count]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
