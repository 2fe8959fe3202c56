"""A trial in the hands of a worker."""

import dataclasses
import enum
from typing import Any

from cnnlab.sweep.space import Values


class Nothing(enum.Enum):
    """Why there is no trial to take."""

    YET = "earlier trials must end first"
    LEFT = "all trials have been taken"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A trial that this process works on.

    Attributes:
      number: counts from 0.
      id: in the storage.
      values: of its hyper-parameters, by path.
      curve: what it has reported, by step.
      repeats: values of the repeats that are done, from the first on.
      tests: their numbers on the test split.
      seconds: spent on it before.
      resumed: whether another worker had begun it.
    """

    number: int
    id: int
    values: Values
    curve: dict[int, float]
    repeats: tuple[float, ...]
    tests: tuple[dict[str, Any], ...]
    seconds: float
    resumed: bool
