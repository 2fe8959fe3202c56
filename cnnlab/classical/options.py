"""The options of a baseline in `config.model.options`."""

import dataclasses
import math
from typing import Any

from cnnlab.classical.hog import Hog
from cnnlab.config import Config
from cnnlab.errors import UserError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Options:
    """Options that `model.options.NAME=VALUE` sets.

    Attributes:
      orientations: number of bins over 180 degrees.
      cell_size: height and width of a cell in pixels.
      block_size: height and width of a block in cells.
      C: inverse strength of the penalty on the squared weights.
      max_iterations: largest number of iterations of the solver.
    """

    orientations: int = Hog.orientations
    cell_size: int = Hog.cell_size
    block_size: int = Hog.block_size
    C: float = 0.01
    max_iterations: int = 200

    @property
    def hog(self) -> Hog:
        return Hog(self.orientations, self.cell_size, self.block_size)


def make_options(config: Config) -> Options:
    """Reads the options of a config.

    Raises:
      UserError: an unknown option (the message names the nearest) or an impossible value.
    """
    given = config.model.options
    fields = {field.name: field.type for field in dataclasses.fields(Options)}
    for name, value in given.items():
        if name not in fields:
            raise UserError(
                f"Model '{config.model.name}' has no option '{name}'.{did_you_mean(name, fields)}"
            )
        _check(name, value, fields[name])
    return Options(**given)


def _check(name: str, value: Any, kind: type) -> None:
    what, types = ("a whole number", int) if kind is int else ("a number", (int, float))
    right = isinstance(value, types) and not isinstance(value, bool)
    if not (right and 0 < value < math.inf):
        raise UserError(f"model.options.{name}={value!r} must be {what} greater than 0.")
