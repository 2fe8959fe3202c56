"""Trains a population in rounds, between which the worst members copy the best."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.sweep.pbt_exploit import make_exploit
from cnnlab.sweep.pbt_lineage import Lineage
from cnnlab.sweep.pbt_plan import Plan
from cnnlab.sweep.population_rows import Rows
from cnnlab.sweep.population_run import Member
from cnnlab.sweep.population_turns import Turns
from cnnlab.train import Diverged, Programs
from cnnlab.train.display import Display
from cnnlab.train.interrupts import Interrupted, StopRequests
from cnnlab.train.records import read_rows
from cnnlab.train.step import NEVER

# Of randomness, folded into the seed; apart from those of `cnnlab.train.state`.
_STREAM = 3


class Population:
    """Members, their engine, and the rounds between which they train."""

    def __init__(
        self,
        plan: Plan,
        programs: Programs,
        members: Sequence[Member],
        lineages: Sequence[Lineage],
        engine: Rows | Turns,
        stop: StopRequests,
        display: Display,
    ):
        self._plan, self._programs, self._members = plan, programs, members
        self._lineages, self._engine, self._stop = lineages, engine, stop
        self._display = display
        self._exploit = make_exploit(plan.space, truncation=plan.truncation, resample=plan.resample)
        setup = members[0].setup
        self._metric, self._total = setup.metric, setup.total_steps
        self._sign = 1.0 if setup.task.metrics[setup.metric] == "max" else -1.0
        self._bad: dict[Member, int] = {}  # first step whose loss was not finite
        self.step = members[0].journal.step

    def train(self) -> None:
        """Trains what is left."""
        engine, members = self._engine, self._members
        engine.fill([m.carry for m in members])
        engine.set_numbers([m.journal.numbers for m in members])
        seeds = [m.setup.config.seed for m in members]
        seeds += seeds[:1] * (engine.size - len(seeds))
        for number, member in enumerate(members):
            member.journal.start()
            if not self.step:
                self._lineages[number].add(0, None, self._own(member))
        if self.step:
            self._look(engine.windows())
            if self.step % self._plan.every_steps == 0 and self.step < self._total:
                self._round(self._saved_metrics())
        while self.step < self._total:
            count = min(
                self._programs.steps_per_call,
                self._plan.every_steps - self.step % self._plan.every_steps,
                self._total - self.step,
            )
            engine.advance(range(self.step, self.step + count), seeds)
            before, self.step = self.step, self.step + count
            for member in members:
                member.journal.step = self.step
            self._after_step(before)

    def judge(self) -> dict[str, Any]:
        """Results on the test split, of each member's best weights."""
        for member in self._members:
            if member in self._bad:
                with member.ending():
                    member.journal.check_finite(self._bad[member])
        alive = [m for m in self._members if m.outcome is None]
        for member in alive:
            member.journal.wait()
        judged = [member.judged() for member in alive]
        states = [carry["state"] for _, carry in judged]
        sums = self._engine.evaluate("test", states) if states else []
        for index, member in enumerate(alive):
            step, state = judged[index][0], states[index]
            member.outcome = member.journal.finish(sums[index], step, state.params)
        finished = [m for m in self._members if isinstance(m.outcome, dict)]
        if not finished:
            raise self._all_diverged()
        best = max(finished, key=lambda member: self._score(member.journal.best_metric))
        outcomes = [m.outcome for m in self._members]
        return {
            "best_member": self._members.index(best),
            "metric_name": self._metric,
            "metric": best.journal.best_metric,
            "members": [o if isinstance(o, dict) else {"error": str(o)} for o in outcomes],
        }

    def _after_step(self, before: int) -> None:
        members = self._members
        due = members[0].journal.due(before)  # as of all others
        interrupted = self._stop.arrived() and not due.last
        save = due.save or interrupted
        if due.log or save:
            windows = self._engine.windows()
            self._look(windows)
        if due.log:
            for member, window in zip(members, windows, strict=False):
                if member not in self._bad:
                    member.journal.log(window)
            self._engine.reset_windows()
        metrics = self._evaluate() if due.judge else [None] * len(members)
        if save:
            carries = self._engine.carries()
            for member, metric, carry in zip(members, metrics, carries, strict=False):
                member.carry = carry
                member.journal.save(carry, None if member in self._bad else metric)
        if interrupted:
            for member in members:
                member.journal.wait()
            raise Interrupted(self._stop.signum, self.step)
        # What is saved is what was evaluated; who goes on from there copies again.
        if due.judge and not due.last:
            self._round(metrics)

    def _look(self, windows: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Sees who has diverged."""
        for member, window in zip(self._members, windows, strict=False):
            bad = int(window["first_bad_step"])
            if bad != NEVER:
                self._bad.setdefault(member, bad)

    def _evaluate(self) -> list[float]:
        sums = self._engine.evaluate(self._programs.split)
        return [m.journal.evaluation(sums[i])[0] for i, m in enumerate(self._members)]

    def _saved_metrics(self) -> list[float | None]:
        """The numbers that the last round before an interruption has left."""
        found = []
        for member in self._members:
            rows = {(row["step"], row["split"]): row for row in read_rows(member.folder.metrics)}
            found.append(rows[self.step, self._programs.split][self._metric])
        return found

    def _score(self, metric: float | None) -> float:
        """The larger the better."""
        usable = metric is not None and math.isfinite(metric)
        return self._sign * metric if usable else -math.inf

    def _all_diverged(self) -> Diverged:
        return Diverged(
            f"All members have diverged by step {self.step}; take lower ranges, e.g. of "
            "optimizer.learning_rate."
        )

    def _own(self, member: Member) -> dict[str, float]:
        return {path: member.journal.numbers[path] for path in sorted(self._plan.space)}

    def _round(self, metrics: Sequence[float | None]) -> None:
        """The worst copy the best, and try other numbers."""
        members = self._members
        scores = [
            -math.inf if m in self._bad else self._score(metric)
            for m, metric in zip(members, metrics, strict=True)
        ]
        if max(scores) == -math.inf:
            raise self._all_diverged()
        key = jax.random.fold_in(jax.random.PRNGKey(self._plan.config.seed), _STREAM)
        numbers = {
            path: jnp.asarray([m.journal.numbers[path] for m in members], jnp.float32)
            for path in self._plan.space
        }
        parents, explored = jax.device_get(
            self._exploit(numbers, jnp.asarray(scores), jax.random.fold_in(key, self.step))
        )
        copies = {n: int(parent) for n, parent in enumerate(parents) if parent != n}
        self._engine.copy(parents.tolist())
        for number, parent in copies.items():
            member = members[number]
            member.journal.numbers = members[parent].journal.numbers | {
                path: float(values[number]) for path, values in explored.items()
            }
            self._bad.pop(member, None)
            self._lineages[number].add(self.step, parent, self._own(member))
        self._engine.set_numbers([m.journal.numbers for m in members])
        best = int(np.argmax(scores))
        copied = ", ".join(f"{number} copies {parent}" for number, parent in copies.items())
        self._display.note(
            f"step {self.step}/{self._total}: best is member {best}, "
            f"{self._metric} {metrics[best]:.4g}; {copied}."
        )
