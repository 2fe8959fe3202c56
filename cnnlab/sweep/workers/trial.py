"""A trial that this process works on: a trial of Optuna whose lock the process holds."""

from typing import Any, Literal

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from cnnlab.errors import UserError, first_line
from cnnlab.sweep.study.optuna_quiet import quiet_optuna
from cnnlab.sweep.study.reading import EVALUATION
from cnnlab.sweep.study.study import Study
from cnnlab.sweep.workers.objective import TrialResult
from cnnlab.train.runtime.signals import StopRequests


class LostStudyError(UserError):
    """The study's storage no longer answers."""


class Trial:
    """A trial of a study, until it is finished or released.

    Attributes:
      number: number of the trial, from 0.
      values: values of the hyper-parameters, by path.
      outcomes: value and test metrics of each complete repeat.
      seconds: time that earlier workers have spent on the trial.
      ended: `pruned` if the pruner has ended the trial, `stopped` if a signal stops this process;
        None while the trial may continue.
    """

    def __init__(self, study: Study, trial: optuna.Trial, stop: StopRequests):
        """Takes a trial whose lock this process holds; `stop` knows the signals it received."""
        self._study, self._trial, self._stop = study, trial, stop
        self.number = trial.number
        self.values = study.space.suggest(trial)
        attributes = trial.user_attrs
        self.outcomes: list[list[Any]] = attributes.get("outcomes", [])
        self.seconds: float = attributes.get("seconds", 0.0)
        self._marks = _evaluations(self._frozen())
        pruned = bool(self._marks) and self._marks[-1]["ends"]
        self.ended: Literal["pruned", "stopped"] | None = "pruned" if pruned else None

    @property
    def step(self) -> int:
        """The training step of the last evaluation; 0 before the first."""
        return self._marks[-1]["step"] if self._marks else 0

    def report(self, step: int, value: float) -> bool:
        """Records an evaluation, and returns whether the trial should end there.

        An evaluation that is already recorded is skipped, so a resumed run may report all of its
        evaluations again. If a worker died before the pruner's decision was recorded, the decision
        is repeated.
        """
        if self.ended is None and all(mark["step"] != step for mark in self._marks):
            try:
                self._decide(step, value)
            except Exception as error:
                raise LostStudyError(f"The study's storage failed: {first_line(error)}") from error
        return self.should_stop()

    def should_stop(self) -> bool:
        """Whether the pruner has ended the trial, or a signal stops this process."""
        if self.ended is None and self._stop.signum is not None:
            self.ended = "stopped"
        return self.ended is not None

    def _decide(self, step: int, value: float) -> None:
        count = len(self._marks) + 1
        if count in self._frozen().intermediate_values:
            ends = self._decide_again()
        else:
            self._trial.report(value, count)
            ends = bool(self._trial.should_prune())  # may be a NumPy bool
        # Pruners keep their own state in these attributes.
        known = [name for name in self._frozen().system_attrs if not name.startswith(EVALUATION)]
        mark = {"step": step, "ends": ends, "known": known}
        self._study.storage.set_trial_system_attr(
            self._trial._trial_id, f"{EVALUATION}{count}", mark
        )
        self._marks.append(mark)
        if ends:
            self.ended = "pruned"

    def _decide_again(self) -> bool:
        """Repeats a pruner's decision in a copy of the study, without the state it left since.

        That state is what later trials are compared with, so what the copy has of it is kept.
        """
        study = self._study.optuna
        known = self._marks[-1]["known"] if self._marks else []
        with quiet_optuna():
            copy = optuna.create_study(
                storage=InMemoryStorage(),
                study_name=study.study_name,
                direction=study.direction,
                pruner=study.pruner,
            )
            for trial in study.get_trials():
                if trial.number == self.number:
                    trial.system_attrs = {name: trial.system_attrs[name] for name in known}
                copy.add_trial(trial)
        ends = bool(copy.pruner.prune(copy, copy.trials[self.number]))
        before = self._frozen().system_attrs
        for name, value in copy.trials[self.number].system_attrs.items():
            if name not in before:
                self._study.storage.set_trial_system_attr(self._trial._trial_id, name, value)
        return ends

    def _frozen(self) -> FrozenTrial:
        return self._study.storage.get_trial(self._trial._trial_id)

    def add_outcome(self, result: TrialResult) -> None:
        """Records the result of a repeat."""
        self.outcomes.append([result.value, result.test])
        self._trial.set_user_attr("outcomes", self.outcomes)

    def finish(
        self,
        state: Literal["complete", "pruned", "failed"],
        *,
        value: float | None = None,
        reason: str = "",
        seconds: float,
    ) -> None:
        """Ends the trial, and unlocks it.

        For Optuna, a failed trial counts as pruned. Its samplers learn from pruned trials to avoid
        their values, but ignore failed ones and would keep proposing learning rates that diverge.
        """
        self._spend(seconds)
        if reason:
            self._trial.set_user_attr("reason", reason)
        if state == "failed":
            self._trial.set_user_attr("failed", True)
        if state == "complete":
            self._study.optuna.tell(self._trial, value)
        else:
            self._study.optuna.tell(self._trial, state=TrialState.PRUNED)
        self._study.leases.drop(self.number)

    def release(self, *, seconds: float = 0.0) -> None:
        """Returns the trial to the queue, so that any worker can resume it."""
        self._spend(seconds)
        self._trial.set_user_attr("released", True)
        self._study.leases.drop(self.number)

    def _spend(self, seconds: float) -> None:
        if seconds:
            self._trial.set_user_attr("seconds", round(self.seconds + seconds, 3))


def _evaluations(trial: FrozenTrial) -> list[dict[str, Any]]:
    """The records of the evaluations on which the pruner has decided, in order."""
    marks = (trial.system_attrs.get(f"{EVALUATION}{n}") for n in sorted(trial.intermediate_values))
    return [mark for mark in marks if mark]
