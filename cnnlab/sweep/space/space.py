"""Search spaces: hyper-parameters by path, with conditions and constraints."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from cnnlab.errors import UserError
from cnnlab.sweep.space.expression import Expression
from cnnlab.sweep.space.param import Choice, Param
from cnnlab.sweep.space.param_text import parse_param

# Spaces that are listed as a whole: to be gone through, or drawn from without repetition.
MOST_LISTED = 100_000
_DRAWS = 1000  # among which one must fulfil the constraints

Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A hyper-parameter of a space.

    Attributes:
      key: its name in the study: the path, with a number if a path has several ranges.
      path: field that it sets.
      param: its values.
      when: its condition.
    """

    key: str
    path: str
    param: Param
    when: Expression | None


class Space:
    """Hyper-parameters in an order in which each condition names only earlier ones.

    Attributes:
      entries: the hyper-parameters.
      constraints: conditions that every trial fulfils.
    """

    def __init__(
        self,
        params: Mapping[str, Any] | Iterable[tuple[str, Param]],
        constraints: Sequence[str] = (),
        *,
        others: Mapping[str, Any] | None = None,
    ):
        """Builds a space.

        Args:
          params: values by path. A value is a `Param`, its text (`"log(1e-3, 1)"`), a sequence of
            values to choose from, or several `Param`s with conditions of which at most one holds.
          constraints: expressions. One that names a field which a trial does not have, or whose
            value is None, does not apply to that trial.
          others: fields that are not searched, for conditions and constraints.

        Raises:
          UserError: a text cannot be parsed.
        """
        pairs = list(_pairs(params)) if isinstance(params, Mapping) else list(params)
        if not pairs:
            raise UserError("The space is empty: name a hyper-parameter to search.")
        self._others = dict(others or {})
        known = {path for path, _ in pairs} | self._others.keys()
        paths = [path for path, _ in pairs]
        entries = []
        for position, (path, param) in enumerate(pairs):
            nth = paths[: position + 1].count(path)
            when = None if param.when is None else _named(path, Expression, param.when, known)
            if paths.count(path) > 1 and when is None:
                raise UserError(f"'{path}' is given twice; give each range a condition: '... if'.")
            entries.append(Entry(path if nth == 1 else f"{path} ({nth})", path, param, when))
        self.entries = _ordered(entries)
        self.constraints = tuple(Expression(text, known) for text in constraints)

    def texts(self) -> list[list[str]]:
        """Returns path and text of each hyper-parameter, for `parse_param`."""
        return [[entry.path, str(entry.param)] for entry in self.entries]

    def assemble(self, draw: Callable[[Entry], Any]) -> Values:
        """Returns the values of one trial by key; `draw` is called for those whose conditions hold.

        Raises:
          UserError: two ranges of one path apply at once.
        """
        values: Values = {}
        for entry in self.entries:
            if entry.when is None or entry.when.holds(self._fields(values)):
                values[entry.key] = draw(entry)
        paths = [entry.path for entry in self.entries if entry.key in values]
        double = next((path for path in paths if paths.count(path) > 1), None)
        if double is not None:
            raise UserError(f"'{double}' has two ranges whose conditions hold at once.")
        return values

    def suggest(self, trial: optuna.Trial) -> Values:
        """Returns the values that a trial's sampler suggests, by path."""
        return self.by_path(
            self.assemble(
                lambda entry: entry.param.restore(
                    _suggest(trial, entry.key, entry.param.distribution())
                )
            )
        )

    def draw(self, rng: np.random.Generator) -> Values:
        """Returns the values of a random trial that fulfils the constraints, by key.

        Raises:
          UserError: no such trial was found.
        """
        for _ in range(_DRAWS):
            values = self.assemble(lambda entry: entry.param.from_unit(rng.random()))
            if self.allows(values):
                return values
        texts = " and ".join(repr(constraint.text) for constraint in self.constraints)
        raise UserError(
            f"Of {_DRAWS} draws none fulfils the constraint {texts}: widen it, or narrow the "
            "ranges."
        )

    def samples(self, most: int) -> list[Values]:
        """Returns random trials by key; for few combinations all of them, in random order."""
        rng = np.random.default_rng(0)
        if self.size > most:
            return [self.draw(rng) for _ in range(most)]
        grid = self.grid()
        return [grid[position] for position in rng.permutation(len(grid))]

    def allows(self, values: Values) -> bool:
        """Whether all constraints that apply to this trial hold."""
        fields = self._fields(values)
        return all(constraint.holds(fields) is not False for constraint in self.constraints)

    def by_path(self, values: Values) -> Values:
        """Returns values by path instead of key."""
        return {e.path: values[e.key] for e in self.entries if e.key in values}

    def _fields(self, values: Values) -> Values:
        """All fields of a trial by path: its hyper-parameters, and those that are not searched."""
        return self._others | self.by_path(values)

    def store(self, values: Values) -> Values:
        """Converts values to the form that Optuna stores."""
        return {e.key: e.param.store(values[e.key]) for e in self.entries if e.key in values}

    def restore(self, stored: Values) -> Values:
        """Inverse of `store`."""
        return {e.key: e.param.restore(stored[e.key]) for e in self.entries if e.key in stored}

    @property
    def size(self) -> float:
        """Upper bound on the number of combinations; infinite with a range of real numbers."""
        listed = [entry.param.values() for entry in self.entries]
        return math.inf if None in listed else math.prod(map(len, listed))

    def grid(self) -> list[Values]:
        """Returns all permitted combinations; the last path changes fastest.

        Raises:
          UserError: there is a range of real numbers, or there are too many combinations.
        """
        for entry in self.entries:
            if entry.param.values() is None:
                raise UserError(
                    f"A grid needs lists, and {entry.path} is {entry.param}: give the values, as "
                    "[0.01, 0.1], linspace(a, b, n) or geomspace(a, b, n); or take another sampler."
                )
        if self.size > MOST_LISTED:
            raise UserError(
                f"The grid has {self.size:,} combinations, more than the {MOST_LISTED:,} that are "
                "allowed: shorten the lists, or take another sampler."
            )
        found = [values for values in self._extend({}, 0) if self.allows(values)]
        if not found:
            raise UserError("No combination fulfils the constraints.")
        return found

    def _extend(self, values: Values, position: int) -> Iterable[Values]:
        if position == len(self.entries):
            yield self.assemble(lambda entry: values[entry.key])
            return
        entry = self.entries[position]
        if entry.when is not None and not entry.when.holds(self._fields(values)):
            yield from self._extend(values, position + 1)
            return
        for value in entry.param.values():
            yield from self._extend(values | {entry.key: value}, position + 1)


def read_params(flags: Sequence[str]) -> list[tuple[str, Param]]:
    """Parses texts `PATH=RANGE` of the command line."""
    pairs = []
    for flag in flags:
        path, equals, text = flag.partition("=")
        path = path.strip().removeprefix("config.")
        if not equals or not path or not text.strip():
            raise UserError(f"param={flag} must be PATH=RANGE, e.g. 'batch_size=[32, 64]'.")
        pairs.append((path, _named(path, parse_param, text)))
    return pairs


def _pairs(params: Mapping[str, Any]) -> Iterable[tuple[str, Param]]:
    for path, value in params.items():
        if isinstance(value, Param):
            yield path, value
        elif isinstance(value, str):
            yield path, _named(path, parse_param, value)
        elif isinstance(value, Sequence) and value and all(isinstance(v, Param) for v in value):
            yield from ((path, param) for param in value)
        elif isinstance(value, Sequence):
            yield path, _named(path, Choice, tuple(value))
        else:
            raise UserError(
                f"{path}={value!r} is not a range: give a list of values, or a text such as "
                "'log(1e-3, 1)'."
            )


def _suggest(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(key, low, high, log=log)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(key, low, high, log=log)
    return trial.suggest_categorical(key, distribution.choices)


def _named(path: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function; adds the hyper-parameter's path to a `UserError`."""
    try:
        return call(*arguments)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _ordered(entries: list[Entry]) -> tuple[Entry, ...]:
    """Entries after those that their conditions name, otherwise in the given order."""
    ordered: list[Entry] = []
    waiting = list(entries)
    while waiting:
        missing = {entry.path for entry in waiting}
        for entry in waiting:
            if entry.when is None or not entry.when.fields & missing:
                ordered.append(entry)
                waiting.remove(entry)
                break
        else:
            raise UserError(
                f"The conditions of {' and '.join(entry.path for entry in waiting)} depend on each "
                "other, or on themselves."
            )
    return tuple(ordered)
