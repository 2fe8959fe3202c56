"""What to try next, as a function of the study's seed, the trial's number and earlier results.

Nothing else goes in: no state is kept from call to call, so that any worker at any time proposes
the same, and a study that was killed goes on as if it had not been. `grid`, `random` and `sobol` do
not look at results. `tpe` and `cmaes` are Optuna's, asked in a study that is put together from the
results for each proposal.
"""

import contextlib
import dataclasses
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from cnnlab.errors import UserError
from cnnlab.sweep.call import read_call
from cnnlab.sweep.param import Choice, Float
from cnnlab.sweep.space import MOST_LISTED, Entry, Space, Values

# A trial that breaks a constraint is drawn again, so many times.
_ATTEMPTS = 1000
# As much for the samplers that look at results: each of their draws takes milliseconds.
_INFORMED_ATTEMPTS = 30

Results = Sequence[FrozenTrial]


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A trial to run.

    Attributes:
      values: by the keys of the space.
      notes: what the sampler wants to find again in the study's storage.
    """

    values: Values
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)


class Sampler(Protocol):
    """Proposes trials.

    Attributes:
      count: how many there are in all, where they are counted.
    """

    count: int | None

    def needs_results(self, number: int) -> bool:
        """Whether the trial depends on the results of earlier ones."""

    def propose(self, number: int, results: Results) -> Proposal | None:
        """The trial of that number; None when all there are have been proposed.

        Args:
          number: counts from 0.
          results: all earlier trials in their order, as far as they are known.
        """


class GridSampler:
    """All combinations, in their order."""

    def __init__(self, space: Space, *, seed: int = 0):
        self._grid = space.grid()
        self.count = len(self._grid)

    def needs_results(self, number: int) -> bool:
        """See `Sampler`."""
        return False

    def propose(self, number: int, results: Results) -> Proposal | None:
        """See `Sampler`."""
        return Proposal(self._grid[number]) if number < self.count else None


class RandomSampler:
    """Independent draws; from lists alone, all combinations in random order."""

    def __init__(self, space: Space, *, seed: int = 0):
        self._space, self._seed = space, seed
        self._grid = None
        self.count = None
        if space.size <= MOST_LISTED:
            grid = space.grid()
            order = np.random.default_rng(seed).permutation(len(grid))
            self._grid = [grid[position] for position in order]
            self.count = len(grid)

    def needs_results(self, number: int) -> bool:
        """See `Sampler`."""
        return False

    def propose(self, number: int, results: Results) -> Proposal | None:
        """See `Sampler`."""
        if self._grid is not None:
            return Proposal(self._grid[number]) if number < self.count else None
        rng = np.random.default_rng([self._seed, number])
        for _ in range(_ATTEMPTS):
            values = _at(self._space, rng.random(len(self._space.entries)))
            if self._space.allows(values):
                return Proposal(values)
        raise UserError(_too_narrow(self._space))


class SobolSampler:
    """A scrambled Sobol sequence (Sobol 1967): random-looking, and without gaps or clusters.

    Points that break a constraint, or repeat a combination of lists, are passed over.
    """

    def __init__(self, space: Space, *, seed: int = 0):
        self._space = space
        self._listed = space.size <= MOST_LISTED
        self.count = len(space.grid()) if self._listed else None
        rng = np.random.default_rng(seed)
        self._points = qmc.Sobol(len(space.entries), scramble=True, seed=rng)
        self._found: list[Values] = []
        self._texts: set[str] = set()

    def needs_results(self, number: int) -> bool:
        """See `Sampler`."""
        return False

    def propose(self, number: int, results: Results) -> Proposal | None:
        """See `Sampler`."""
        if self.count is not None and number >= self.count:
            return None
        passed = 0
        while len(self._found) <= number:
            # A list's rare combinations may come late in the sequence; each does come.
            if passed > _ATTEMPTS and not self._listed:
                raise UserError(_too_narrow(self._space))
            values = _at(self._space, self._points.random(1)[0])
            if self._space.allows(values) and not (self._listed and repr(values) in self._texts):
                self._found.append(values)
                self._texts.add(repr(values))
                passed = 0
            passed += 1
        return Proposal(self._found[number])


class _InformedSampler:
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
        for attempt in range(_INFORMED_ATTEMPTS):
            proposal = self._ask(number, attempt, results)
            # Repeating a combination of lists would train the same network again.
            if self._space.allows(proposal.values) and (
                self.count is None or repr(proposal.values) not in tried
            ):
                return proposal
        # Where the good region is beyond a constraint, or has been tried: any other.
        for position in range(_ATTEMPTS if self.count is None else self.count):
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


class TpeSampler(_InformedSampler):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate, Optuna's."""

    def __init__(self, space: Space, *, seed: int, direction: str, startup: int = 10):
        """Builds the sampler; `startup` is how many trials are random at first."""
        super().__init__(space, seed=seed, direction=direction, startup=startup)

    def _optuna(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)


class CmaEsSampler(_InformedSampler):
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


SAMPLERS = {
    "grid": GridSampler,
    "random": RandomSampler,
    "sobol": SobolSampler,
    "tpe": TpeSampler,
    "cmaes": CmaEsSampler,
}


def make_sampler(text: str, space: Space, *, seed: int, direction: str) -> Sampler:
    """Builds the sampler that a text names: `grid`, `random`, `sobol`, `tpe(startup=20)`, `cmaes`.

    Args:
      text: its name, for tpe with the number of random trials at the start.
      space: to draw from.
      seed: of the study.
      direction: `maximize` or `minimize`.

    Raises:
      UserError: an unknown name or option, or a space that the sampler cannot search.
    """
    name, options = read_call(text, "sampler", {n: ("startup",) * (n == "tpe") for n in SAMPLERS})
    if issubclass(SAMPLERS[name], _InformedSampler):
        return SAMPLERS[name](space, seed=seed, direction=direction, **options)
    return SAMPLERS[name](space, seed=seed)


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """While entered, Optuna tells of errors only, and not of what is experimental in it."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _at(space: Space, point: np.ndarray) -> Values:
    """The trial at a point of the unit cube; a hyper-parameter's axis is always the same."""
    units = {entry.key: float(u) for entry, u in zip(space.entries, point, strict=True)}
    return space.assemble(lambda entry: entry.param.from_unit(units[entry.key]))


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


def _too_narrow(space: Space) -> str:
    texts = " and ".join(repr(constraint.text) for constraint in space.constraints)
    return (
        f"Of {_ATTEMPTS} draws none fulfils the constraint {texts}: widen it, or narrow the ranges."
    )
