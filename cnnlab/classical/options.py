"""The options of a baseline, out of `config.model.options`."""

import dataclasses
import math
from typing import Any

from cnnlab.classical.hog import Hog
from cnnlab.config import Config
from cnnlab.errors import UserError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Options:
    """What `--config.model.options.NAME=VALUE` may set.

    Attributes:
      orientations: see `Hog`.
      cell_size: see `Hog`.
      block_size: see `Hog`.
      C: inverse strength of the penalty on the weights, see `fit_linear`.
      max_iterations: of the solver.
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
      UserError: an unknown option (the nearest is named), or a value that cannot be.
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
