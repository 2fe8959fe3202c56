"""Which trials are ended early, as pure functions of learning curves.

A curve is what a trial has reported: at its first, second, ... evaluation. Rules compare trials at
the same evaluation and not at the same step, so that batch sizes and data sets can be among what is
searched. Values here are such that larger is better.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Protocol

from cnnlab.errors import UserError
from cnnlab.sweep.call import read_call

Curve = Sequence[float]


class Pruner(Protocol):
    """A rule.

    Attributes:
      name: of the rule.
    """

    name: str

    def asks_at(self, number: int, count: int) -> bool:
        """Whether trial `number` may be ended after its evaluation `count`, which counts from 1."""

    def ends(self, number: int, curve: Curve, others: dict[int, Curve]) -> bool:
        """Whether the trial should end; to be asked where `asks_at` says so.

        Args:
          number: of the trial.
          curve: what it has reported.
          others: curves of the trials to compare with, by number, at most as long.
        """


class NoPruner:
    """Ends none."""

    name = "none"

    def asks_at(self, number: int, count: int) -> bool:
        """See `Pruner`."""
        return False

    def ends(self, number: int, curve: Curve, others: dict[int, Curve]) -> bool:
        """See `Pruner`."""
        return False


class MedianPruner:
    """Ends a trial whose best value so far is below the median of the others' at this evaluation.

    The rule of Google Vizier (Golovin et al. 2017, sec. 3.2.2) in Optuna's form. All trials that
    have come as far are compared with, also those that were ended or still run.

    Attributes:
      first: the first evaluation at which it may end a trial.
      startup: how many others must have come that far.
    """

    name = "median"

    def __init__(self, *, first: int = 1, startup: int = 5):
        self.first, self.startup = first, startup

    def asks_at(self, number: int, count: int) -> bool:
        """See `Pruner`."""
        return count >= self.first

    def ends(self, number: int, curve: Curve, others: dict[int, Curve]) -> bool:
        """See `Pruner`."""
        there = [other[len(curve) - 1] for other in others.values() if len(other) >= len(curve)]
        there = [value for value in there if not math.isnan(value)]
        if len(there) < self.startup:
            return False
        own = [value for value in curve if not math.isnan(value)]
        return not own or max(own) < statistics.median(there)


class AshaPruner:
    """Asynchronous successive halving (Li et al. 2018, arXiv:1810.05934), stopping variant.

    At the evaluations `first`, `first * factor`, `first * factor**2`, ... a trial goes on if it is
    among the best `1 / factor` of those that have come there; of fewer than `factor`, if it is the
    best. That is Optuna's rule.

    Attributes:
      first: evaluation of the first rung.
      factor: how many trials there are to each that goes on.
    """

    name = "asha"

    def __init__(self, *, first: int = 1, factor: int = 3):
        if factor < 2:
            raise UserError(f"factor={factor}: of so many trials one goes on, so at least 2.")
        self.first, self.factor = first, factor

    def asks_at(self, number: int, count: int) -> bool:
        """See `Pruner`."""
        rung = self.first
        while rung < count:
            rung *= self.factor
        return rung == count

    def ends(self, number: int, curve: Curve, others: dict[int, Curve]) -> bool:
        """See `Pruner`."""
        own = curve[-1]
        if math.isnan(own):
            return True
        there = [other[len(curve) - 1] for other in others.values() if len(other) >= len(curve)]
        there = sorted([own, *(x for x in there if not math.isnan(x))], reverse=True)
        return own < there[max(len(there) // self.factor - 1, 0)]


class HyperbandPruner:
    """Several `AshaPruner`s that begin later and later (Li et al. 2017, arXiv:1603.06560).

    They hedge against trials that start slowly and end well. Each trial belongs to one of these
    brackets, by its number, in the proportions that give them equal budgets.

    Attributes:
      factor: see `AshaPruner`.
    """

    name = "hyperband"

    def __init__(self, *, evaluations: int, factor: int = 3):
        """Builds the rule for trials of so many evaluations."""
        count = 1
        while factor**count <= evaluations:
            count += 1
        self._brackets = [AshaPruner(first=factor**b, factor=factor) for b in range(count)]
        # A bracket that halves s times spends 1 / (s + 1) of full training on a trial, roughly.
        weights = [factor**s / (s + 1) for s in range(count - 1, -1, -1)]
        self._shares = [sum(weights[: b + 1]) / sum(weights) for b in range(count)]

    def _bracket(self, number: int) -> int:
        # Multiples of the golden ratio fill [0, 1) evenly, however many there are.
        u = number * (math.sqrt(5) - 1) / 2 % 1.0
        return next((b for b, share in enumerate(self._shares) if u < share), 0)

    def asks_at(self, number: int, count: int) -> bool:
        """See `Pruner`."""
        return self._brackets[self._bracket(number)].asks_at(number, count)

    def ends(self, number: int, curve: Curve, others: dict[int, Curve]) -> bool:
        """See `Pruner`."""
        bracket = self._bracket(number)
        same = {n: other for n, other in others.items() if self._bracket(n) == bracket}
        return self._brackets[bracket].ends(number, curve, same)


PRUNERS = {
    "none": (),
    "median": ("first", "startup"),
    "asha": ("first", "factor"),
    "hyperband": ("factor",),
}


def make_pruner(text: str, *, evaluations: int | None = None) -> Pruner:
    """Builds the rule that a text names: `none`, `median`, `asha(first=2, factor=4)`, `hyperband`.

    Args:
      text: its name, and options in parentheses.
      evaluations: of a trial that is not ended, if that is known.

    Raises:
      UserError: an unknown name or option, or trials too short for it.
    """
    name, options = read_call(text, "pruner", PRUNERS)
    if name == "none":
        return NoPruner()
    if evaluations is not None and evaluations < 2:
        raise UserError(
            f"{name} ends trials between two evaluations, and a trial here has {evaluations}: "
            "lower evaluation.every_epochs."
        )
    if name == "median":
        return MedianPruner(**options)
    if name == "asha":
        return AshaPruner(**options)
    if evaluations is None:
        raise UserError(
            "hyperband must know how often a trial reports, which a function does not tell: take "
            "asha."
        )
    return HyperbandPruner(evaluations=evaluations, **options)
