"""Trains a population in rounds, between which the worst members copy the best."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnlab.errors import UserError
from cnnlab.sweep.pbt.exploit import exploit
from cnnlab.sweep.pbt.lineage import Lineage
from cnnlab.sweep.pbt.plan import Plan
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.callbacks.progress import Display
from cnnlab.train.engines.base import Engine
from cnnlab.train.member import Diverged, Member


class Population:
    """The rounds of a population, as `cnnlab.train.loop.Rounds`.

    Attributes:
      every_steps: steps between rounds.
    """

    def __init__(
        self, plan: Plan, members: Sequence[Member], lineages: Sequence[Lineage], display: Display
    ):
        """Creates rounds of members whose folders are open; `display` shows each round."""
        self._plan, self._members, self._lineages = plan, members, lineages
        self._display, self.every_steps = display, plan.every_steps
        tracker = members[0].tracker
        self._metric, self._split, self._total = tracker.metric, tracker.split, tracker.total_steps
        self._sign = 1.0 if tracker.mode == "max" else -1.0

    def start(self, engine: Engine, step: int) -> None:
        """Starts the lineages, or makes up for a round that was interrupted."""
        if not step:
            for number, member in enumerate(self._members):
                self._lineages[number].add(0, None, self._own(member))
            return
        if step % self.every_steps == 0 and step < self._total:
            self._round(engine, step, self._saved_metrics(step))

    def after_evaluation(self, engine: Engine, step: int, metrics: Sequence[float]) -> None:
        """Lets the worst members copy the best."""
        self._round(engine, step, metrics)

    def result(self) -> dict[str, Any]:
        """Returns the population's result when all members have a result or have diverged."""
        finished = [m for m in self._members if isinstance(m.outcome, dict)]
        if not finished:
            raise self._all_diverged(self._total)
        best = max(finished, key=lambda member: self._score(member.tracker.best_metric))
        outcomes = [m.outcome for m in self._members]
        return {
            "best_member": self._members.index(best),
            "metric_name": self._metric,
            "metric": best.tracker.best_metric,
            "members": [o if isinstance(o, dict) else {"error": str(o)} for o in outcomes],
        }

    def _saved_metrics(self, step: int) -> list[float | None]:
        """The metrics of the last round before an interruption."""
        found = []
        for member in self._members:
            path = member.folder.metrics
            rows = {(row["step"], row["split"]): row for row in read_rows(path)}
            row = rows.get((step, self._split), {})
            if self._metric not in row:
                raise UserError(
                    f"{path} lacks the {self._split} {self._metric} of step {step}, by which the "
                    "members are compared there: it was damaged or edited. Restore the file."
                )
            found.append(row[self._metric])
        return found

    def _score(self, metric: float | None) -> float:
        """Score of a metric; larger is better."""
        usable = metric is not None and math.isfinite(metric)
        return self._sign * metric if usable else -math.inf

    def _all_diverged(self, step: int) -> Diverged:
        return Diverged(
            f"All members have diverged by step {step}; take lower ranges, e.g. of "
            "optimizer.learning_rate."
        )

    def _own(self, member: Member) -> dict[str, float]:
        return {path: member.tracker.hparams[path] for path in sorted(self._plan.space)}

    def _round(self, engine: Engine, step: int, metrics: Sequence[float | None]) -> None:
        """Lets the worst copy the best and perturbs their numbers."""
        members = self._members
        scores = [
            -math.inf if m.first_bad_step is not None else self._score(metric)
            for m, metric in zip(members, metrics, strict=True)
        ]
        if max(scores) == -math.inf:
            raise self._all_diverged(step)
        plan = self._plan
        parents, explored = exploit(
            plan.space,
            {path: np.array([m.tracker.hparams[path] for m in members]) for path in plan.space},
            np.array(scores),
            np.random.Generator(np.random.Philox([plan.config.seed, step])),
            truncation=plan.truncation,
            resample=plan.resample,
        )
        copies = {n: int(parent) for n, parent in enumerate(parents) if parent != n}
        engine.copy(parents.tolist())
        for number, parent in copies.items():
            member = members[number]
            member.tracker.hparams = members[parent].tracker.hparams | {
                path: float(values[number]) for path, values in explored.items()
            }
            member.first_bad_step = None
            self._lineages[number].add(step, parent, self._own(member))
        engine.set_hparams([m.tracker.hparams for m in members])
        best = int(np.argmax(scores))
        copied = ", ".join(f"{number} copies {parent}" for number, parent in copies.items())
        self._display.note(
            f"step {step}/{self._total}: best is member {best}, "
            f"{self._metric} {metrics[best]:.4g}; {copied}."
        )
