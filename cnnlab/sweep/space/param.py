"""Ranges and lists of a hyper-parameter's values, also in Optuna's form."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cnnlab.errors import UserError

_LARGEST = 2**53  # samplers calculate with floats, which hold whole numbers up to here
_SCALARS = (type(None), bool, int, float, str)


@dataclasses.dataclass(frozen=True)
class Param:
    """Values of a hyper-parameter.

    Attributes:
      when: expression of other fields, e.g. `model.name == mlp`; if it does not hold, the config's
        value is kept. None means always.
    """

    when: str | None = dataclasses.field(default=None, kw_only=True)

    def from_unit(self, u: float) -> Any:
        """Returns the value at quantile `u` in [0, 1)."""
        raise NotImplementedError

    def values(self) -> Sequence[Any] | None:
        """Returns all values in order; None for real numbers."""
        raise NotImplementedError

    def bounds(self) -> Sequence[Any]:
        """Returns values to test a field with: the ends of a range, or all of a list."""
        return self.values()

    def distribution(self) -> BaseDistribution:
        """Returns Optuna's distribution."""
        raise NotImplementedError

    def store(self, value: Any) -> Any:
        """Converts a value to the form that Optuna stores."""
        return value

    def restore(self, stored: Any) -> Any:
        """Inverse of `store`."""
        raise NotImplementedError

    def _with_condition(self, text: str) -> str:
        return text if self.when is None else f"{text} if {self.when}"


@dataclasses.dataclass(frozen=True)
class Range(Param):
    """A number from `low` to `high`, uniform, or with uniform logarithm (`log`)."""

    low: float
    high: float
    log: bool = False

    _names: ClassVar[tuple[str, str]]  # in texts: of a uniform range, and of a logarithmic one

    def __post_init__(self) -> None:
        check_range(self._name, self.low, self.high, self.log)

    def __str__(self) -> str:
        return self._with_condition(f"{self._name}({self.low!r}, {self.high!r})")

    @property
    def _name(self) -> str:
        return self._names[self.log]

    def bounds(self) -> tuple[float, float]:
        return self.low, self.high


class Float(Range):
    """A real number."""

    _names = ("uniform", "log")

    def from_unit(self, u: float) -> float:
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return min(max(math.exp(low + u * (high - low)), self.low), self.high)
        return self.low + u * (self.high - self.low)

    def values(self) -> None:
        return None

    def restore(self, stored: float) -> float:
        return float(stored)

    def distribution(self) -> FloatDistribution:
        return FloatDistribution(self.low, self.high, log=self.log)


class Integer(Range):
    """A whole number; both ends are included."""

    _names = ("int", "logint")

    def __post_init__(self) -> None:
        for end in (self.low, self.high):
            text = f"{self._name}({self.low}, {self.high})"
            if not isinstance(end, int) or isinstance(end, bool):
                raise UserError(f"{text}: {end!r} is not a whole number.")
            if abs(end) > _LARGEST:
                raise UserError(f"{text}: the ends must be from -2**53 to 2**53.")
        super().__post_init__()

    def from_unit(self, u: float) -> int:
        if not self.log:
            return min(self.low + int(u * (self.high - self.low + 1)), self.high)
        # Each whole number has the range half-way to its neighbours, as in Optuna.
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(round(math.exp(low + u * (high - low))), self.low), self.high)

    def values(self) -> range:
        return range(self.low, self.high + 1)

    def restore(self, stored: int) -> int:
        return int(stored)

    def distribution(self) -> IntDistribution:
        return IntDistribution(self.low, self.high, log=self.log)


@dataclasses.dataclass(frozen=True)
class Choice(Param):
    """One of a list: numbers, texts, true or false, none, or tuples of them."""

    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(map(_frozen, self.choices)))
        if not self.choices:
            raise UserError("[] has no value to try.")
        for one, other in itertools.combinations(self.choices, 2):
            if self.store(one) == self.store(other):
                texts = _value_text(one), _value_text(other)
                raise UserError(
                    f"{self._list()} has {texts[0]} twice."
                    if texts[0] == texts[1]
                    else f"{self._list()}: {texts[0]} and {texts[1]} are equal in Python, and a "
                    "study could not tell which was tried: leave one out."
                )

    def __str__(self) -> str:
        return self._with_condition(self._list())

    def _list(self) -> str:
        return f"[{', '.join(map(_value_text, self.choices))}]"

    def from_unit(self, u: float) -> Any:
        return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]

    def values(self) -> tuple[Any, ...]:
        return self.choices

    def distribution(self) -> CategoricalDistribution:
        return CategoricalDistribution([self.store(choice) for choice in self.choices])

    def store(self, value: Any) -> Any:
        """Converts tuples to texts, since storages hold only scalars."""
        return value if isinstance(value, _SCALARS) else _value_text(value)

    def restore(self, stored: Any) -> Any:
        return next(choice for choice in self.choices if self.store(choice) == stored)


def uniform(low: float, high: float, *, when: str | None = None) -> Float:
    """A number from `low` to `high`, uniformly distributed."""
    return Float(float(low), float(high), when=when)


def log(low: float, high: float, *, when: str | None = None) -> Float:
    """A number from `low` to `high` with a uniformly distributed logarithm."""
    return Float(float(low), float(high), log=True, when=when)


def integer(low: int, high: int, *, when: str | None = None) -> Integer:
    """A whole number from `low` to `high`, both included."""
    return Integer(low, high, when=when)


def log_integer(low: int, high: int, *, when: str | None = None) -> Integer:
    """A whole number from `low` to `high` with a uniformly distributed logarithm."""
    return Integer(low, high, log=True, when=when)


def choice(values: Sequence[Any], *, when: str | None = None) -> Choice:
    """One of some values."""
    return Choice(tuple(values), when=when)


def check_range(name: str, low: float, high: float, log: bool) -> None:
    shown = f"{name}({low!r}, {high!r})"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"{shown}: both ends must be finite.")
    if log and low <= 0:
        raise UserError(f"{shown}: a range of logarithms must start above 0, not at {low!r}.")
    if low >= high:
        raise UserError(f"{shown} is empty: the first number must be below the second.")


def _frozen(value: Any) -> Any:
    """A choice in the form that it has after reading it back."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, _SCALARS):
        raise UserError(
            f"{value!r} cannot be a choice: take numbers, texts, true or false, none, or tuples."
        )
    return value


def _value_text(value: Any) -> str:
    words = {True: "true", False: "false", None: "none"}
    if isinstance(value, (bool, type(None))):
        return words[value]
    if isinstance(value, tuple):
        return f"({', '.join(map(_value_text, value))}{',' if len(value) == 1 else ''})"
    return repr(value)
