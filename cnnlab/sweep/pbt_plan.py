"""What is asked of a population-based training, checked; and the configs of its members."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnlab.config import Config, apply_overrides, to_json, validate
from cnnlab.errors import UserError, did_you_mean
from cnnlab.sweep.param import Float
from cnnlab.train.numbers import traceable_numbers


@dataclasses.dataclass(frozen=True)
class Plan:
    """See `cnnlab.sweep.population_based_training`.

    Raises:
      UserError: a value that cannot be, or a path of a number that cannot change on the way.
    """

    config: Config
    space: Mapping[str, Float]
    members: int
    every_steps: int
    truncation: float
    resample: float

    def __post_init__(self) -> None:
        if self.members < 2:
            raise UserError(f"members={self.members} must be at least 2: one copies the other.")
        if self.every_steps < 1:
            raise UserError(f"every_steps={self.every_steps} must be at least 1.")
        if not 0 < self.truncation <= 0.5:
            raise UserError(f"truncation={self.truncation} must be above 0 and at most 0.5.")
        if not 0 <= self.resample <= 1:
            raise UserError(f"resample={self.resample} must be from 0 to 1.")
        if not self.space:
            raise UserError("The space is empty: name a number to be changed, and its range.")
        for path, param in self.space.items():
            inside = apply_overrides(self.config, {path: param.from_unit(0.5)})
            if path not in traceable_numbers(inside):
                raise UserError(
                    f"'{path}' cannot change while a network trains."
                    + did_you_mean(path, traceable_numbers(self.config))
                )
            for end in (param.low, param.high):
                validate(apply_overrides(self.config, {path: end}))

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        space = {path: str(param) for path, param in self.space.items()}
        return dataclasses.asdict(self) | {"config": to_json(self.config), "space": space}

    def configs(self, num_examples: int) -> list[Config]:
        """Of the members: numbers drawn from the space, seeds that count up."""
        rng = np.random.Generator(np.random.Philox([self.config.seed]))
        schedule = {
            "evaluation.every_epochs": self.every_steps * self.config.batch_size / num_examples,
            "evaluation.early_stopping_patience": None,
        }
        return [
            apply_overrides(
                self.config,
                {path: param.from_unit(rng.random()) for path, param in sorted(self.space.items())}
                | schedule
                | {"seed": self.config.seed + number},
            )
            for number in range(self.members)
        ]
