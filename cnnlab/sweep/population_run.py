"""Trains the members of a population side by side, each with a run folder of its own."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.sweep.population_rows import Rows, rows_of
from cnnlab.train.display import Display
from cnnlab.train.interrupts import Interrupted, StopRequests
from cnnlab.train.journal import Journal, checkpoints_of
from cnnlab.train.pace import Pace
from cnnlab.train.programs import Carry, Programs
from cnnlab.train.watch import Pruned, Watch
from cnnlab.train.workdir import Workdir

Outcome = dict[str, Any] | Exception


class Member:
    """One run among those that are trained together.

    Attributes:
      folder: of the run.
      setup: its functions; not compiled, the rows' are.
      journal: what it writes.
      carry: `state` and `window` with which it starts, and later those with which it ends.
      entry: step at which it starts.
      row: where it is trained.
      outcome: its result, or why there is none; None while that is not known.
    """

    def __init__(self, programs: Programs, config: Config, workdir: Path):
        """Looks at the folder, and writes nothing.

        Raises:
          UserError: a mistake in the config, or a folder with another run.
        """
        self._programs, self.folder = programs, Workdir(workdir)
        if self.folder.has_run:
            self.folder.check_config(config)
        self.setup = programs.setup(config)
        self.journal: Journal
        self.carry: Carry
        self.entry = self.row = 0
        self.outcome: Outcome | None = None

    def open(
        self,
        resources: contextlib.ExitStack,
        display: Display,
        watch: Watch | None = None,
        *,
        at: int | None = None,
    ) -> None:
        """Starts the run, or takes it up at a checkpoint: the latest, or that of step `at`."""
        folder, setup, programs = self.folder, self.setup, self._programs
        folder.create()
        checkpoints = resources.enter_context(checkpoints_of(setup, folder, display))
        folder.write_config(setup.config)
        folder.write("dataset.json", setup.info.to_json())
        folder.record_start(sys.argv)
        journal = Journal(setup, folder, checkpoints, display, split=programs.split, watch=watch)
        resources.callback(journal.close)
        carry = journal.restore(self._target(), at)
        if carry is None:
            carry = programs.new_carry(setup)
        self.journal, self.carry, self.entry = journal, carry, journal.step
        self.outcome = journal.complete_result()

    @property
    def is_trained(self) -> bool:
        """Whether no step is left to it."""
        journal = self.journal
        return journal.stopped_early or journal.step >= self.setup.total_steps

    def judged(self) -> tuple[int, Carry]:
        """Step and content of the checkpoint that its result is about."""
        step, carry = self.journal.judged(self._target())
        return step, self.carry if carry is None else carry

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """While entered, what ends a run ends this one alone."""
        try:
            yield
        except (UserError, Pruned, OSError) as error:
            self.outcome = error

    def _target(self) -> Carry:
        shapes = {"state": self.setup.abstract_state(), "window": self._programs.zero_window}
        return self._programs.parallel.abstract(shapes)


def train_side_by_side(
    programs: Programs,
    configs: Sequence[Config],
    workdirs: Sequence[Path],
    *,
    watches: Sequence[Watch | None],
    displays: Sequence[Display],
) -> list[Outcome]:
    """Trains runs of one skeleton in one program; see `cnnlab.sweep.fit_group`.

    Raises:
      Interrupted: SIGTERM or SIGINT; the states of all are saved.
    """
    outcomes: list[Outcome | None] = [None] * len(configs)
    members: dict[int, Member] = {}
    with StopRequests() as stop, contextlib.ExitStack() as resources:
        for index, config in enumerate(configs):
            try:
                member = Member(programs, config, workdirs[index])
                member.open(resources, displays[index], watches[index])
                members[index] = member
            except (UserError, OSError) as error:
                outcomes[index] = error
        with _Crowd(programs, list(members.values()), stop) as crowd:
            crowd.train()
            crowd.judge()
    for index, member in members.items():
        outcomes[index] = member.outcome
    return outcomes


class _Crowd:
    """Members on their rows.

    Those that were resumed at a later step wait until the others have come there.
    """

    def __init__(self, programs: Programs, members: Sequence[Member], stop: StopRequests):
        self._programs, self._members, self._stop = programs, members, stop
        self._training = [m for m in members if m.outcome is None and not m.is_trained]
        self._rows: Rows | None = None

    def __enter__(self) -> "_Crowd":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._rows is not None:
            self._rows.clear()

    def train(self) -> None:
        """Trains all to their ends, which may be early."""
        if not self._training:
            return
        total, most = self._training[0].setup.total_steps, self._programs.steps_per_call
        entries = {m.entry for m in self._training}
        step = min(entries)
        self._fill()
        while self._training:
            for member in self._training:
                if member.entry == step:
                    self._rows.put(member.row, member.carry)
            count = min([most, total - step, *[entry - step for entry in entries if entry > step]])
            self._advance(step, count)
            active = [m for m in self._training if m.journal.step == step]
            step += count
            for member in active:
                member.journal.step = step
            self._after_step(active, before=step - count)
            self._training = [m for m in self._training if m.outcome is None and not m.is_trained]
            if self._training:
                self._shrink(total - step)

    def judge(self) -> None:
        """Results on the test split, of the best weights where validation can tell them."""
        trained = [m for m in self._members if m.outcome is None]
        if not trained:
            return
        rows = self._rows or rows_of(self._programs, len(trained))
        while trained:
            some, trained = trained[: rows.size], trained[rows.size :]
            judged = [m.judged() for m in some]
            states = [carry["state"] for _, carry in judged]
            sums = rows.evaluate("test", states)
            for row, member in enumerate(some):
                with member.ending():
                    step, params = judged[row][0], states[row].params
                    member.outcome = member.journal.finish(sums[row], step, params)

    def _fill(self) -> None:
        self._rows = rows_of(self._programs, len(self._training))
        self._rows.fill([m.carry for m in self._training])
        self._pace = Pace()
        self._place()
        for member in self._training:
            member.journal.start()

    def _place(self) -> None:
        """Tells the rows which member each of them has got."""
        for row, member in enumerate(self._training):
            member.row = row
        self._rows.set_numbers([m.journal.numbers for m in self._training])
        seeds = [m.setup.config.seed for m in self._training]
        # Fixed until rows change: batches for one seed and for several are different programs.
        self._seeds = seeds + seeds[:1] * (self._rows.size - len(seeds))
        self._compiled, self._timed_steps = None, 0

    def _advance(self, step: int, count: int) -> None:
        """Trains the rows, and learns how long that takes."""
        began = time.monotonic()
        self._rows.advance(range(step, step + count), self._seeds)
        if self._compiled is None:
            self._rows.wait()
            self._timed_from = time.monotonic()
            self._compiled = self._timed_from - began
        else:
            self._timed_steps += count
            if self._pace.wait_is_due():
                self._rows.wait()
                self._pace.waited()

    def _after_step(self, active: Sequence[Member], before: int) -> None:
        """What `cnnlab.train.loop` does after a step, for all that have made it."""
        due = active[0].journal.due(before)  # as of all others
        interrupted = self._stop.arrived() and not due.last
        save = due.save or interrupted
        windows = self._rows.windows() if due.log or save else []
        for member in active if windows else ():
            with member.ending():
                member.journal.check_finite(int(windows[member.row]["first_bad_step"]))
                if due.log:
                    member.journal.log(windows[member.row])
        if due.log:
            self._rows.reset_windows()
        active = [m for m in active if m.outcome is None]
        metrics, enough = self._evaluate(active) if due.judge and active else ({}, {})
        carries = self._rows.carries() if save and active else []
        for member in active if save else ():
            with member.ending():
                member.carry = carries[member.row]
                member.journal.save(member.carry, metrics.get(member))
                if due.log:
                    member.journal.check_for_errors()
                if enough.get(member) and not due.last:
                    member.journal.prune()
        if interrupted:
            for member in active:
                member.journal.wait()
            raise Interrupted(self._stop.signum, active[0].journal.step)

    def _evaluate(self, active: Sequence[Member]) -> tuple[dict, dict]:
        """Metric of each member, and whether it has been seen enough of."""
        began = time.monotonic()
        sums = self._rows.evaluate(self._programs.split)
        metrics, enough = {}, {}
        for member in active:
            metrics[member], enough[member] = member.journal.evaluation(sums[member.row])
        for member in active:
            member.journal.not_training(time.monotonic() - began)
        return metrics, enough

    def _shrink(self, remaining: int) -> None:
        """Goes on with fewer rows, where that is worth compiling for them."""
        size = 2 ** (len(self._training) - 1).bit_length()
        if size >= self._rows.size or not self._worth_it(size, remaining):
            return
        fewer = self._rows.shrunk([m.row for m in self._training], size)
        self._rows.clear()
        self._rows = fewer
        self._place()

    def _worth_it(self, size: int, remaining: int) -> bool:
        """Whether the time that fewer rows save is more than compiling took."""
        if not self._timed_steps:
            return False
        step_seconds = (time.monotonic() - self._timed_from) / self._timed_steps
        return remaining * step_seconds * (1 - size / self._rows.size) > self._compiled
