"""Optuna's samplers over a space with conditions and constraints."""

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial

from cnnlab.errors import UserError
from cnnlab.sweep.sampling.call import read_call
from cnnlab.sweep.space.param import Choice
from cnnlab.sweep.space.space import MOST_LISTED, Space, Values
from cnnlab.sweep.study.optuna_quiet import quiet_optuna

SAMPLERS = {
    "grid": {},
    "random": {},
    "sobol": {},
    "tpe": {"startup": 10},  # trials that are random at first
    "cmaes": {},
    "gp": {"startup": 10},
}

# How often a trial that breaks a constraint, or repeats a combination of lists, is drawn again
# before a random one takes its place; a draw takes milliseconds.
_ATTEMPTS = 30
_DRAWN = "cnnlab:drawn"


class SpaceSampler(BaseSampler):
    """Draws all hyper-parameters of a trial at once, by one of Optuna's samplers.

    A draw depends only on the seed, the trial's number and the known results. It is stored with the
    trial, so a trial whose worker dies is not redrawn. Draws that break a constraint or duplicate a
    combination of lists are repeated.

    Attributes:
      count: total number of trials of a space of lists; None for other spaces.
    """

    def __init__(self, text: str, space: Space, *, seed: int):
        """Creates a sampler from its text.

        Args:
          text: `grid`, `random`, `sobol`, `tpe(startup=20)`, `cmaes` or `gp`.
          space: the space to search.
          seed: seed of the study.

        Raises:
          UserError: an unknown name or option, a space that the sampler cannot search, or a
            library that it needs is not installed.
        """
        self._name, options = read_call(text, "sampler", SAMPLERS)
        self._space, self._seed = space, seed
        self._startup = options.get("startup", 1 if self._name == "cmaes" else None)
        listed = self._name == "grid" or space.size <= MOST_LISTED
        self._grid = space.grid() if listed else None
        self.count = None if self._grid is None else len(self._grid)
        self._distributions = {e.key: e.param.distribution() for e in space.entries}
        numbers = [e for e in space.entries if not isinstance(e.param, Choice) and e.when is None]
        if self._name == "cmaes" and not numbers:
            raise UserError(
                "cmaes searches ranges of numbers, and the space has none that is always there: "
                "take tpe, random or grid."
            )
        if self._name == "gp":
            _require_torch()
        if self._name == "sobol":
            with quiet_optuna():
                self._sequence = QMCSampler(qmc_type="sobol", scramble=True, seed=seed)
                self._scratch = optuna.create_study()  # where the sequence keeps its position
            self._points: list[Values] = []

    def needs_results(self, number: int) -> bool:
        """Whether the trial depends on the results of earlier ones."""
        return self._startup is not None and number >= self._startup

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Returns all hyper-parameters, including conditional ones."""
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Values:
        """Returns the values of the trial as Optuna stores them."""
        if _DRAWN in trial.system_attrs:
            return trial.system_attrs[_DRAWN]
        with quiet_optuna():
            drawn = self._space.store(self._draw(study, trial))
        study._storage.set_trial_system_attr(trial._trial_id, _DRAWN, drawn)
        return drawn

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Never called, because `sample_relative` draws every hyper-parameter."""
        raise NotImplementedError

    def _draw(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        number = trial.number
        if self._name == "grid":
            return self._grid[number]
        tried = set()
        if self._grid is not None:
            others = study._storage.get_all_trials(study._study_id, deepcopy=False)
            tried = {repr(t.system_attrs.get(_DRAWN)) for t in others if t.number != number}
        rng = np.random.default_rng([self._seed, number])
        sampler = self._optuna_sampler(int(rng.integers(2**32)))
        for _ in range(1 if self._name == "sobol" else _ATTEMPTS):
            values = self._draw_once(sampler, study, trial)
            if self._space.allows(values) and repr(self._space.store(values)) not in tried:
                return values
        # What the sampler likes is beyond a constraint, or has been tried: any other.
        if self._grid is None:
            return self._space.draw(rng)
        left = [values for values in self._grid if repr(self._space.store(values)) not in tried]
        return left[rng.integers(len(left))]

    def _draw_once(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> Values:
        if self._name == "sobol":
            point = self._sobol_point(trial.number)
        else:
            ranges = sampler.infer_relative_search_space(study, trial)
            point = sampler.sample_relative(study, trial, ranges)

        def draw(key: str) -> Any:
            if key in point:
                return point[key]
            return sampler.sample_independent(study, trial, key, self._distributions[key])

        return self._space.assemble(lambda entry: entry.param.restore(draw(entry.key)))

    def _sobol_point(self, number: int) -> Values:
        while len(self._points) <= number:
            point = self._sequence.sample_relative(self._scratch, None, self._distributions)
            self._points.append(point)
        return self._points[number]

    def _optuna_sampler(self, seed: int) -> BaseSampler:
        match self._name:
            case "tpe":
                return TPESampler(seed=seed, n_startup_trials=self._startup)
            case "gp":
                return GPSampler(seed=seed, n_startup_trials=self._startup)
            case "cmaes":
                return CmaEsSampler(
                    seed=seed,
                    warn_independent_sampling=False,
                    independent_sampler=RandomSampler(seed=seed),
                )
        return RandomSampler(seed=seed)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise UserError("sampler=gp needs PyTorch: pip install 'cnnlab[gp]'.") from error
