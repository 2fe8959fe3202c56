"""Samplers that look at results: Optuna's, asked in a study put together for each proposal."""

import math
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from cnnlab.errors import UserError
from cnnlab.sweep.optuna_quiet import quiet_optuna
from cnnlab.sweep.param import Choice, Float
from cnnlab.sweep.sampler import ATTEMPTS, Proposal, RandomSampler, Results
from cnnlab.sweep.space import Entry, Space

# A trial that breaks a constraint is drawn again; each of these draws takes milliseconds.
_ATTEMPTS = 30


class InformedSampler:
    """Random trials first, then Optuna's proposals from their results."""

    def __init__(self, space: Space, *, seed: int, direction: str, startup: int):
        self._space, self._seed, self._direction = space, seed, direction
        self._startup = startup
        self._random = RandomSampler(space, seed=seed)
        self.count = self._random.count

    def needs_results(self, number: int) -> bool:
        """See `Sampler`."""
        return number >= self._startup

    def _optuna(self, seed: int) -> optuna.samplers.BaseSampler:
        raise NotImplementedError

    def propose(self, number: int, results: Results) -> Proposal | None:
        """See `Sampler`."""
        if self.count is not None and number >= self.count:
            return None
        if not self.needs_results(number):
            return self._random.propose(number, ())
        tried = {repr(self._space.restore(trial.params)) for trial in results}
        for attempt in range(_ATTEMPTS):
            proposal = self._ask(number, attempt, results)
            # Repeating a combination of lists would train the same network again.
            if self._space.allows(proposal.values) and (
                self.count is None or repr(proposal.values) not in tried
            ):
                return proposal
        # Where the good region is beyond a constraint, or has been tried: any other.
        for position in range(ATTEMPTS if self.count is None else self.count):
            other = self._random.propose(
                number + position if self.count is None else (number + position) % self.count, ()
            )
            if repr(other.values) not in tried:
                return other
        return None

    def _ask(self, number: int, attempt: int, results: Results) -> Proposal:
        state = np.random.SeedSequence([self._seed, number, attempt]).generate_state(1)
        with quiet_optuna():
            study = optuna.create_study(
                direction=self._direction, sampler=self._optuna(int(state[0]))
            )
            study.add_trials(map(_as_sampler_sees, results))
            trial = study.ask()
            values = self._space.assemble(lambda entry: _suggest(trial, entry))
            notes = study.trials[-1].system_attrs
        # What CMA-ES remembers of its generations.
        return Proposal(values, {k: note for k, note in notes.items() if k.startswith("cma:")})


class TpeSampler(InformedSampler):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate, Optuna's."""

    def __init__(self, space: Space, *, seed: int, direction: str, startup: int = 10):
        """Builds the sampler; `startup` is how many trials are random at first."""
        super().__init__(space, seed=seed, direction=direction, startup=startup)

    def _optuna(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)


class CmaEsSampler(InformedSampler):
    """CMA-ES (Hansen 2016, arXiv:1604.00772), Optuna's; lists and conditional ranges are random."""

    def __init__(self, space: Space, *, seed: int, direction: str):
        super().__init__(space, seed=seed, direction=direction, startup=1)
        numbers = [e for e in space.entries if not isinstance(e.param, Choice) and e.when is None]
        if not numbers:
            raise UserError(
                "cmaes searches ranges of numbers, and the space has none that is always there: "
                "take tpe, random or grid."
            )

    def _optuna(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.CmaEsSampler(
            seed=seed,
            warn_independent_sampling=False,
            independent_sampler=optuna.samplers.RandomSampler(seed=seed),
        )


def _suggest(trial: optuna.Trial, entry: Entry) -> Any:
    param = entry.param
    if isinstance(param, Choice):
        stored = trial.suggest_categorical(entry.key, param.distribution().choices)
        return param.restore(stored)
    if isinstance(param, Float):
        return trial.suggest_float(entry.key, param.low, param.high, log=param.log)
    return trial.suggest_int(entry.key, param.low, param.high, log=param.log)


def _as_sampler_sees(trial: FrozenTrial) -> FrozenTrial:
    """A failed trial as one that was pruned at once: a region to keep away from.

    Optuna leaves failed trials out, and would go on proposing learning rates that diverge.
    """
    bad = trial.state is TrialState.FAIL or (
        trial.state is TrialState.COMPLETE and not math.isfinite(trial.value)
    )
    if not bad:
        return trial
    return optuna.trial.create_trial(
        state=TrialState.PRUNED,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=trial.system_attrs,
    )
