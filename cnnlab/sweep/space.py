"""A space to search: hyper-parameters by their paths, with conditions and constraints."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cnnlab.errors import UserError
from cnnlab.sweep.expression import UNSET, Expression, Lookup
from cnnlab.sweep.param import Choice, Param
from cnnlab.sweep.param_text import parse_param

# Spaces that are listed as a whole: to be gone through, or drawn from without repetition.
MOST_LISTED = 100_000

Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A hyper-parameter at its place in a space.

    Attributes:
      key: its name in the study: the path, with a number where a path has several ranges.
      path: the field that it sets.
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
          params: by path. A value is a `Param`, its text (`"log(1e-3, 1)"`), a sequence of values
            to choose from, or several `Param`s with conditions of which at most one holds.
          constraints: see `Expression`. One that names a field which a trial does not have, or that
            is none, does not bind that trial.
          others: fields that are not searched, for conditions and constraints.

        Raises:
          UserError: anything that cannot be read.
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
        """Path and text of each hyper-parameter, as `parse_param` reads it."""
        return [[entry.path, str(entry.param)] for entry in self.entries]

    def assemble(self, draw: Callable[[Entry], Any]) -> Values:
        """The values of one trial, by key: `draw` is asked for those whose conditions hold.

        Raises:
          UserError: two ranges of one path are there at once.
        """
        values: Values = {}
        for entry in self.entries:
            if entry.when is None or entry.when.holds(self.lookup(values)):
                values[entry.key] = draw(entry)
        paths = [entry.path for entry in self.entries if entry.key in values]
        double = next((path for path in paths if paths.count(path) > 1), None)
        if double is not None:
            raise UserError(f"'{double}' has two ranges whose conditions hold at once.")
        return values

    def allows(self, values: Values) -> bool:
        """Whether all constraints hold, as far as they concern this trial."""
        lookup = self.lookup(values)
        return all(constraint.holds(lookup) is not False for constraint in self.constraints)

    def by_path(self, values: Values) -> Values:
        """Values by the paths that they set."""
        return {e.path: values[e.key] for e in self.entries if e.key in values}

    def lookup(self, values: Values) -> Lookup:
        """Fields of a trial: its hyper-parameters, else what is not searched."""
        fields = self._others | self.by_path(values)
        return lambda path: fields.get(path, UNSET)

    def store(self, values: Values) -> Values:
        """Values as Optuna keeps them."""
        return {e.key: e.param.store(values[e.key]) for e in self.entries if e.key in values}

    def restore(self, stored: Values) -> Values:
        """The inverse of `store`."""
        return {e.key: e.param.restore(stored[e.key]) for e in self.entries if e.key in stored}

    @property
    def size(self) -> float:
        """How many combinations there are at most; infinite with a range of real numbers."""
        listed = [entry.param.values() for entry in self.entries]
        return math.inf if None in listed else math.prod(map(len, listed))

    def grid(self) -> list[Values]:
        """All combinations that conditions and constraints allow, the last path changing fastest.

        Raises:
          UserError: a range of real numbers, or too many combinations.
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
        if entry.when is not None and not entry.when.holds(self.lookup(values)):
            yield from self._extend(values, position + 1)
            return
        for value in entry.param.values():
            yield from self._extend(values | {entry.key: value}, position + 1)


def read_params(flags: Sequence[str]) -> list[tuple[str, Param]]:
    """Reads `PATH=RANGE` texts, as the flag `--param` gives them."""
    pairs = []
    for flag in flags:
        path, equals, text = flag.partition("=")
        path = path.strip().removeprefix("config.")
        if not equals or not path or not text.strip():
            raise UserError(f"--param={flag} must be PATH=RANGE, e.g. 'batch_size=[32, 64]'.")
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


def _named(path: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Calls; a `UserError` then says which hyper-parameter it is about."""
    try:
        return call(*arguments)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _ordered(entries: list[Entry]) -> tuple[Entry, ...]:
    """So that each comes after those that its condition names; else in the given order."""
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
