"""The trials of a study: who gets which next, what they report, how they end.

Every change is one atomic step of the storage. A trial is taken under a mutex: one whose worker
died comes first, then a new one. Its proposal, and whether it is ended early, depend on a fixed set
of earlier trials (`lag`), so the study does not depend on who is faster, or dies.
"""

import dataclasses
import datetime
import os
import socket
from collections.abc import Callable
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from cnnlab.sweep.claim import Claim, Nothing
from cnnlab.sweep.leases import Leases
from cnnlab.sweep.sampler import Proposal, Sampler
from cnnlab.sweep.space import Space, Values

# A trial that kills its worker each time, for want of memory say, must not do so for ever.
MOST_DEATHS = 5


class Ledger:
    """Gives out trials and takes their results, for any number of workers.

    Attributes:
      total: how many trials there are to be.
      lag: see there.
      leases: who has which.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study_id: int,
        leases: Leases,
        space: Space,
        sampler: Sampler,
        *,
        total: int,
        lag: int | None,
        progress: Callable[[int], int] = lambda number: 0,
        birth_notes: Callable[[int], dict[str, Any]] = lambda number: {},
    ):
        """Opens the ledger.

        Args:
          storage: of the study.
          study_id: in the storage.
          leases: of the study.
          space: what is searched.
          sampler: proposes.
          total: number of trials; at most as many as the sampler has.
          lag: trial n depends on trials up to n - lag only, and waits for them; so at most as many
            run at once where proposals need results. None takes what is known at the moment.
          progress: of a trial's number, something that grows while it gets on, from one life of its
            worker to the next.
          birth_notes: of a trial's number, what is noted when it is begun.
        """
        self._storage, self._study_id, self._space = storage, study_id, space
        self._sampler, self._progress, self._birth_notes = sampler, progress, birth_notes
        self.total, self.lag, self.leases = total, lag, leases

    def trials(self) -> list[FrozenTrial]:
        """All trials as they stand, by number."""
        return self._storage.get_all_trials(self._study_id, deepcopy=False)

    def take(self) -> Claim | Nothing:
        """A trial to work on: an abandoned one, the lowest number first, or a new one."""
        with self.leases.mutex():
            for trial in self.trials():
                if trial.state is TrialState.RUNNING:
                    claim = self._take_up(trial)
                    if claim is not None:
                        return claim
            trials = self.trials()
            proposal = self._propose(trials)
            if isinstance(proposal, Nothing):
                return proposal
            return self._begin(len(trials), proposal)

    def take_others(
        self, first: Claim, most: int, group: Callable[[Values], str | None], *, consecutive: bool
    ) -> list[Claim]:
        """More trials, to be worked on together with one that was taken.

        Args:
          first: the lowest number of them.
          most: how many.
          group: of a trial's values by path, what they share; None of one that is run alone.
          consecutive: take only numbers that follow each other. Else trials of other groups that
            come between are put by, for whoever comes next.
        """
        with self.leases.mutex():
            taken = []
            for candidate in self._candidates(first, most, group, consecutive):
                if isinstance(candidate, FrozenTrial):
                    claim = self._take_up(candidate)
                    if claim is None and consecutive:
                        break
                    taken += [claim] if claim else []
                    continue
                number, proposal, same = candidate
                claim = self._begin(number, proposal)
                if same:
                    taken.append(claim)
                else:
                    self.release(claim)
            return taken

    def count_others(
        self, first: Claim, most: int, group: Callable[[Values], str | None], *, consecutive: bool
    ) -> int:
        """How many `take_others` would take, if nobody comes before it."""
        found = self._candidates(first, most, group, consecutive)
        return sum(isinstance(one, FrozenTrial) or one[2] for one in found)

    def _candidates(
        self, first: Claim, most: int, group: Callable[[Values], str | None], consecutive: bool
    ) -> list[FrozenTrial | tuple[int, Proposal, bool]]:
        """Abandoned trials of the group, then new ones: number, proposal, whether of the group."""
        wanted, count = group(first.values), 0
        found: list[FrozenTrial | tuple[int, Proposal, bool]] = []
        if wanted is None or most < 1:
            return found
        trials = self.trials()
        for trial in trials[first.number + 1 :]:
            values = self._space.by_path(self._space.restore(trial.params))
            same = trial.state is TrialState.RUNNING and group(values) == wanted
            if count < most and same and self.leases.is_free(trial.number):
                found.append(trial)
                count += 1
            elif consecutive:
                return found
        # Not further than some way, so that few others are put by.
        for number in range(len(trials), min(self.total, first.number + 4 * most + 1)):
            if count == most or self._sampler.needs_results(number):
                break
            proposal = self._sampler.propose(number, ())
            if proposal is None:
                break
            same = group(self._space.by_path(proposal.values)) == wanted
            if consecutive and not same:
                break
            found.append((number, proposal, same))
            count += same
        while found and isinstance(found[-1], tuple) and not found[-1][2]:
            found.pop()
        return found

    def _take_up(self, trial: FrozenTrial) -> Claim | None:
        """Takes a trial that had begun; None if somebody has it, or it has ended."""
        if not self.leases.take(trial.number):
            return None
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(
            self._study_id, trial.number
        )
        trial = self._storage.get_trial(trial_id)  # which may have ended since it was looked at
        if trial.state.is_finished():
            self.leases.drop(trial.number)
            return None
        claim, notes = self._claim(trial, trial_id, resumed=True), trial.user_attrs
        if not notes.get("released"):
            progress = [len(trial.intermediate_values), self._progress(trial.number)]
            deaths = notes.get("deaths", 0) + 1 if progress == notes.get("progress") else 1
            if deaths > MOST_DEATHS:
                self.finish(
                    claim,
                    TrialState.FAIL,
                    reason=f"its worker died {deaths} times without getting on (killed, or out of "
                    "memory)",
                )
                return None
            self._note(trial_id, deaths=deaths, progress=progress)
        self._note(trial_id, released=False, owner=_owner())
        return claim

    def _propose(self, trials: list[FrozenTrial]) -> Proposal | Nothing:
        """The next new trial."""
        number, results = len(trials), trials
        if number >= self.total:
            return Nothing.LEFT
        if self._sampler.needs_results(number) and self.lag is not None:
            results = self._seen_from(number, trials)
            if results is None:
                return Nothing.YET
        proposal = self._sampler.propose(number, results)
        return Nothing.LEFT if proposal is None else proposal

    def _begin(self, number: int, proposal: Proposal) -> Claim:
        params = {e.key: e.param for e in self._space.entries if e.key in proposal.values}
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=self._space.store(proposal.values),
            distributions={key: param.distribution() for key, param in params.items()},
            system_attrs=proposal.notes,
            user_attrs={"owner": _owner()} | self._birth_notes(number),
        )
        # Nobody else looks at this number before it is in the storage.
        self.leases.take(number)
        try:
            trial_id = self._storage.create_new_trial(self._study_id, template_trial=trial)
        except BaseException:
            self.leases.drop(number)
            raise
        return dataclasses.replace(self._claim(trial, trial_id, resumed=False), number=number)

    def _seen_from(self, number: int, trials: list[FrozenTrial]) -> list[FrozenTrial] | None:
        """Results up to `number - lag` and mere configs after; None while results are missing."""
        last = number - self.lag + 1
        if not all(trial.state.is_finished() for trial in trials[: max(last, 0)]):
            return None
        return [
            trial if trial.number < last else _without_results(trial) for trial in trials[:number]
        ]

    def _claim(self, trial: FrozenTrial, trial_id: int, *, resumed: bool) -> Claim:
        return Claim(
            number=trial.number,
            id=trial_id,
            values=self._space.by_path(self._space.restore(trial.params)),
            curve=dict(sorted(trial.intermediate_values.items())),
            repeats=tuple(trial.user_attrs.get("repeats", ())),
            tests=tuple(trial.user_attrs.get("tests", ())),
            seconds=trial.user_attrs.get("seconds", 0.0),
            resumed=resumed,
        )

    def report(self, claim: Claim, step: int, value: float) -> None:
        """Notes a value on the way."""
        self._storage.set_trial_intermediate_value(claim.id, step, value)

    def note(self, claim: Claim, **notes: Any) -> None:
        """Notes something else of a trial that is being worked on."""
        self._note(claim.id, **notes)

    def finish(
        self, claim: Claim, state: TrialState, *, value: float | None = None, **notes: Any
    ) -> None:
        """Ends a trial: complete with a value, pruned, or failed; and lets go of it."""
        self._note(claim.id, **notes)
        values = None if value is None else [value]
        self._storage.set_trial_state_values(claim.id, state=state, values=values)
        self.leases.drop(claim.number)

    def release(self, claim: Claim, **notes: Any) -> None:
        """Puts a trial back, to be gone on with later by whoever."""
        self._note(claim.id, released=True, **notes)
        self.leases.drop(claim.number)

    def _note(self, trial_id: int, **notes: Any) -> None:
        for key, note in notes.items():
            self._storage.set_trial_user_attr(trial_id, key, note)

    def abandoned(self, trials: list[FrozenTrial]) -> list[int]:
        """Numbers of the trials that have begun and that nobody works on."""
        return [
            trial.number
            for trial in trials
            if trial.state is TrialState.RUNNING and self.leases.is_free(trial.number)
        ]

    def to_take(self) -> int:
        """How many trials wait for a worker."""
        trials = self.trials()
        return max(self.total - len(trials), 0) + len(self.abandoned(trials))

    def is_over(self) -> bool:
        """Whether all trials have ended."""
        trials = self.trials()
        return len(trials) >= self.total and all(t.state.is_finished() for t in trials)


def _without_results(trial: FrozenTrial) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=trial.system_attrs,
    )


def _owner() -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "process": os.getpid(), "since": now}
