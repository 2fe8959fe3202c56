"""What to try next, as a function of the study's seed, the trial's number and earlier results.

Nothing else goes in: no state is kept from call to call, so that any worker at any time proposes
the same, and a study that was killed goes on as if it had not been. `grid`, `random` and `sobol` do
not look at results; those that do are in `informed_sampler`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from cnnlab.errors import UserError
from cnnlab.sweep.space import MOST_LISTED, Space, Values

# A trial that breaks a constraint is drawn again, so many times.
ATTEMPTS = 1000

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
        for _ in range(ATTEMPTS):
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
            if passed > ATTEMPTS and not self._listed:
                raise UserError(_too_narrow(self._space))
            values = _at(self._space, self._points.random(1)[0])
            if self._space.allows(values) and not (self._listed and repr(values) in self._texts):
                self._found.append(values)
                self._texts.add(repr(values))
                passed = 0
            passed += 1
        return Proposal(self._found[number])


def _at(space: Space, point: np.ndarray) -> Values:
    """The trial at a point of the unit cube; a hyper-parameter's axis is always the same."""
    units = {entry.key: float(u) for entry, u in zip(space.entries, point, strict=True)}
    return space.assemble(lambda entry: entry.param.from_unit(units[entry.key]))


def _too_narrow(space: Space) -> str:
    texts = " and ".join(repr(constraint.text) for constraint in space.constraints)
    return (
        f"Of {ATTEMPTS} draws none fulfils the constraint {texts}: widen it, or narrow the ranges."
    )
