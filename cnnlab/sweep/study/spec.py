"""The specification of a study, kept as JSON in its folder and in its storage."""

import dataclasses
from typing import Any

import optuna
from optuna.pruners import BasePruner

from cnnlab.config import differences, field_values, from_json
from cnnlab.errors import UserError
from cnnlab.sweep.sampling.pruner import make_pruner
from cnnlab.sweep.sampling.sampler import SpaceSampler
from cnnlab.sweep.space.param_text import parse_param
from cnnlab.sweep.space.space import Space, Values
from cnnlab.sweep.study.optuna_quiet import quiet_optuna


@dataclasses.dataclass(frozen=True)
class Spec:
    """Everything that the results of a study depend on.

    Attributes:
      objective: `{"config": ...}` of an experiment, or `{"function": name}`.
      space: path and text of each hyper-parameter.
      constraints: text of each constraint.
      metric: name of the metric; `value` for a function.
      direction: `maximize` or `minimize`.
      sampler: text that `SpaceSampler` reads.
      pruner: text that `make_pruner` reads.
      evaluations: number of evaluations of a complete trial; None if unknown.
      repeats: number of seeds of each trial.
      seed: seed of the sampler.
    """

    objective: dict[str, Any]
    space: list[list[str]]
    constraints: list[str]
    metric: str
    direction: str
    sampler: str
    pruner: str
    evaluations: int | None
    repeats: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> "Spec":
        """Inverse of `to_json`; raises a `UserError` if a field is missing."""
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(tree, dict) or not names <= tree.keys():
            raise UserError("This is not the description of a study.")
        return cls(**{name: tree[name] for name in names})

    def check_same(self, asked: "Spec", where: str) -> None:
        """Raises a `UserError` that shows where a requested study contradicts this saved one."""
        lines = []
        if "config" in self.objective and "config" in asked.objective:
            saved, other = (from_json(spec.objective["config"]) for spec in (self, asked))
            lines += [f"config.{line}" for line in differences(saved, other)]
        elif self.objective != asked.objective:
            lines.append(f"objective: {_name(self.objective)} -> {_name(asked.objective)}")
        # By name and not in a list, for the order of hyper-parameters matters to a grid alone.
        old, new = _by_path(self.space), _by_path(asked.space)
        lines += [
            f"param {path}: {old.get(path, 'none')} -> {new.get(path, 'none')}"
            for path in old | new
            if old.get(path) != new.get(path)
        ]
        if not lines and self.space != asked.space:
            lines.append(f"order of param: {', '.join(old)} -> {', '.join(new)}")
        for name in ("constraints", "metric", "direction", "sampler", "pruner", "repeats", "seed"):
            saved, other = getattr(self, name), getattr(asked, name)
            if saved != other:
                lines.append(f"{name}: {saved} -> {other}")
        if lines:
            raise UserError(
                "\n  ".join([f"{where} holds another study (saved -> asked):", *lines])
                + "\nChoose another folder for the study, or leave these settings out to resume "
                "that one."
            )

    def make_space(self) -> Space:
        """Creates the space, which was checked when the study was planned."""
        config = self.objective.get("config")
        others = None if config is None else field_values(from_json(config))
        pairs = [(path, parse_param(text)) for path, text in self.space]
        return Space(pairs, self.constraints, others=others)

    def make_sampler(self) -> SpaceSampler:
        """Creates the sampler; raises a `UserError` if it cannot search the space."""
        return SpaceSampler(self.sampler, self.make_space(), seed=self.seed)

    def make_pruner(self) -> BasePruner:
        """Creates the pruner; raises a `UserError` if trials are too short for it."""
        return make_pruner(self.pruner, evaluations=self.evaluations)

    def count_trials(self, asked: int | None) -> int:
        """Returns the requested number of trials; at most all of a space of lists.

        Raises:
          UserError: neither is known.
        """
        counts = [n for n in (asked, self.make_sampler().count) if n is not None]
        if not counts:
            raise UserError(f"Say how many trials: trials=N. {self.sampler} has no end here.")
        return min(counts)

    def proposals(self, count: int) -> list[Values | None]:
        """Returns the first trials by path; None for those that depend on results."""
        space, sampler = self.make_space(), self.make_sampler()
        with quiet_optuna():
            study = optuna.create_study(sampler=sampler)
            return [
                None if sampler.needs_results(number) else space.suggest(study.ask())
                for number in range(count)
            ]


def _by_path(space: list[list[str]]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for path, text in space:
        texts.setdefault(path, []).append(text)
    return {path: " and ".join(parts) for path, parts in texts.items()}


def _name(objective: dict[str, Any]) -> str:
    return objective.get("function", "a config")
