"""The checked arguments of a population-based training, and its members' configs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnlab.config import Config, apply_overrides, to_json, validate
from cnnlab.errors import UserError, did_you_mean
from cnnlab.sweep.space.param import Float
from cnnlab.train.hparams import hparams_of

_MOST_MEMBERS = 10_000


@dataclasses.dataclass(frozen=True)
class Plan:
    """Arguments of `cnnlab.sweep.population_based_training`.

    Raises:
      UserError: a value is impossible, or a number cannot change during training.
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
        if self.members > _MOST_MEMBERS:
            raise UserError(f"members={self.members} must be at most {_MOST_MEMBERS}.")
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
            if path not in hparams_of(inside):
                raise UserError(
                    f"'{path}' cannot change while a network trains."
                    + did_you_mean(path, hparams_of(self.config))
                )
            for end in (param.low, param.high):
                validate(apply_overrides(self.config, {path: end}))

    def describe(self) -> dict[str, Any]:
        """Returns the arguments as JSON values."""
        space = {path: str(param) for path, param in self.space.items()}
        return dataclasses.asdict(self) | {"config": to_json(self.config), "space": space}

    def configs(self, num_examples: int) -> list[Config]:
        """Returns the members' configs: numbers drawn from the space, consecutive seeds."""
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
