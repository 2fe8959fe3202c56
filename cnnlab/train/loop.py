"""The training loop: steps, logging, evaluation and checkpoints."""

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import flax.linen as nn

from cnnlab.arrays import Batch
from cnnlab.config import Config
from cnnlab.config.objects import check_objects, with_objects
from cnnlab.data import Dataset, DatasetRecord
from cnnlab.data.reconcile import match_record
from cnnlab.tasks import Task
from cnnlab.train.callbacks.base import Callback, Stop
from cnnlab.train.callbacks.progress import Display, PlainDisplay
from cnnlab.train.callbacks.pruning import Pruned
from cnnlab.train.due import due_after
from cnnlab.train.engines.base import Engine
from cnnlab.train.engines.compiled_steps import CompiledSteps
from cnnlab.train.engines.single import SingleEngine
from cnnlab.train.member import Member
from cnnlab.train.run_data import load_data
from cnnlab.train.runtime import hosts
from cnnlab.train.runtime.run_mirror import written_run
from cnnlab.train.runtime.signals import Interrupted, SharedStopRequests, StopRequests
from cnnlab.train.runtime.throttle import Throttle
from cnnlab.train.runtime.workdir import Workdir
from cnnlab.train.state import Optimizer


def fit(
    config: Config,
    workdir: str | Path,
    *,
    model: nn.Module | None = None,
    dataset: Dataset | None = None,
    task: Task | None = None,
    tx: Optimizer | None = None,
    augment: Callable[..., Batch] | None = None,
    callbacks: Sequence[Callback] = (),
    compiled: CompiledSteps | None = None,
) -> dict[str, Any]:
    """Trains a network, or resumes an earlier call.

    On several hosts (after `cnnlab.train.runtime.hosts.join`), all call this with the same
    arguments; the first one reads and writes the folder.

    Args:
      config: the experiment.
      workdir: folder of the run (contents: `cnnlab.train.runtime.workdir`), also `s3://BUCKET/NAME`
        or `gs://BUCKET/NAME`. If it holds a run with the same config, that run is resumed, bit for
        bit on the same devices.
      model: network that replaces the one that the config names, as in `build_experiment`.
      dataset: data set that replaces the one that the config names.
      task: replaces the losses and metrics of the config.
      tx: optax transformation that replaces the config's optimizer.
      augment: replaces the config's augmentation.
      callbacks: callbacks in addition to those that the config names. Rows are always written as
        JSON lines and TensorBoard events; plain lines are printed unless one of the callbacks is
        a `Display`.
      compiled: data and compiled functions of an earlier run whose config differs in
        hyper-parameters only; None creates new ones.

    Returns:
      The content of result.json: metrics on the test split, the step of their checkpoint, number
      of updates, number of parameters and seconds of training.

    Raises:
      UserError: a mistake that the user can correct; `Diverged` for a loss that is not finite.
      LostHostError: another host has ended.
      Interrupted: SIGTERM or SIGINT arrived at any host; the state is saved.
      Pruned: a callback stopped the run unfinished; the state is saved.
    """
    if compiled is None:
        objects = {"model": model, "dataset": dataset, "task": task, "tx": tx, "augment": augment}
        check_objects(config, **objects)
        config = with_objects(config, **objects)
    if not any(isinstance(callback, Display) for callback in callbacks):
        callbacks = [PlainDisplay(), *callbacks]
    with hosts.losses_named(), written_run(workdir) as path:
        folder = Workdir(path)
        if hosts.is_first() and folder.has_run:
            folder.check_config(config, longer=True)
        # The step is traced before anything is written, so that a mistake leaves no run behind.
        compiled = compiled or CompiledSteps(
            config,
            _own_data(dataset, folder) if dataset else _load_data(config, folder),
            model=model,
            task=task,
            tx=tx,
            augment=augment,
        )
        member = Member(compiled, config, path, callbacks)
        with (
            folder.named_in_errors(),
            SharedStopRequests() if hosts.several() else StopRequests() as stop,
            contextlib.ExitStack() as resources,
        ):
            member.open(resources)
            if member.outcome is None:
                engine = SingleEngine(compiled)
                resources.callback(engine.clear)
                loop = Loop(compiled, engine, [member], stop)
                loop.train()
                loop.judge()
            return member.outcome


def _own_data(dataset: Dataset, folder: Workdir) -> Dataset:
    """Checks a data set passed to `fit`; raises a `UserError` if a resumed run had another."""
    return match_record(dataset, folder.dataset_record()) if folder.has_dataset else dataset


def _load_data(config: Config, folder: Workdir) -> Dataset:
    """Loads the data of a run; those that it was started with if it is resumed."""
    tree = hosts.from_first(lambda: folder.dataset_record().to_json() if folder.has_dataset else {})
    return load_data(config, DatasetRecord.from_json(tree) if tree else None)


class Rounds(Protocol):
    """Hooks between the rounds of a population, e.g. for population-based training.

    Attributes:
      every_steps: steps between rounds, which are also the steps between evaluations.
    """

    every_steps: int

    def start(self, engine: Engine, step: int) -> None:
        """Called before the first step, which follows `step` updates."""

    def after_evaluation(self, engine: Engine, step: int, metrics: Sequence[float]) -> None:
        """Called when all members have been evaluated and saved; may change the engine's rows."""


class Loop:
    """Trains members, one or many, on an engine.

    Members that are resumed at a later step wait for the others to reach it.
    """

    def __init__(
        self,
        compiled: CompiledSteps,
        engine: Engine,
        members: Sequence[Member],
        stop: StopRequests,
        *,
        rounds: Rounds | None = None,
        isolated: bool = False,
    ):
        """Creates a loop over members whose folders are open.

        Args:
          compiled: data and compiled functions of the members.
          engine: computes the steps.
          members: runs with one program key.
          stop: reports signals to this process.
          rounds: hooks between rounds; None for no rounds.
          isolated: whether an error of one member becomes its outcome while the others continue;
            otherwise it is raised.
        """
        self._compiled, self._engine, self._members = compiled, engine, members
        self._stop, self._rounds = stop, rounds
        self._isolated = isolated
        self._training = [m for m in members if m.outcome is None and not m.is_trained]
        self._filled = False

    def train(self) -> None:
        """Trains all members until they end or are stopped early."""
        if not self._training:
            return
        engine, total = self._engine, self._training[0].tracker.total_steps
        entries = {member.entry for member in self._training}
        step = first = min(entries)
        self._fill()
        if self._rounds is not None:
            self._rounds.start(engine, step)
        throttle = Throttle()
        while self._training:
            for member in self._training:
                if member.entry == step > first:
                    engine.put(member.row, member.carry)
            count = self._steps_until(step, [total, *entries])
            active = [m for m in self._training if m.tracker.step == step]
            engine.advance(range(step, step + count))
            step += count
            for member in active:
                member.tracker.step = step
            if throttle.wait_is_due():
                engine.wait()
                throttle.waited()
                for member in active:
                    member.tracker.progress()
            self._after_step(active, step - count, step)
            left = [m for m in self._training if m.outcome is None and not m.is_trained]
            if left and engine.shrink([member.row for member in left], total - step):
                self._place(left)
            self._training = left

    def judge(self) -> None:
        """Evaluates members on the test split, with their best weights if there is validation."""
        trained = [member for member in self._members if member.outcome is None]
        if trained and not self._filled:
            self._fill(trained)
        while trained:
            some, trained = trained[: self._engine.size], trained[self._engine.size :]
            for member in some:
                member.checkpoints.wait()
            best = [member.best() for member in some]
            if len(self._members) == 1 and best[0][1] is some[0].carry:
                sums = self._engine.evaluate("test")  # the engine holds these weights
            else:
                sums = self._engine.evaluate("test", [carry["state"] for _, carry in best])
            for row, member in enumerate(some):
                with self._ending(member):
                    step, carry = best[row]
                    member.outcome = member.tracker.result(sums[row], step, carry["state"].params)

    def _fill(self, members: Sequence[Member] | None = None) -> None:
        """Fills the engine with the members that are not finished."""
        members = members or self._training
        members = members[: self._engine.size]
        self._engine.fill([member.carry for member in members])
        self._place(members)
        self._filled = True
        for member in members:
            member.tracker.start_clock()

    def _place(self, members: Sequence[Member]) -> None:
        for row, member in enumerate(members):
            member.row = row
        self._engine.set_hparams([member.tracker.hparams for member in members])
        self._engine.set_seeds([member.experiment.config.seed for member in members])

    def _steps_until(self, step: int, marks: Sequence[int]) -> int:
        """Steps of the next call, at most up to the nearest mark."""
        if self._rounds is not None:
            every = self._rounds.every_steps
            marks = [*marks, step + every - step % every]
        ahead = [mark - step for mark in marks if mark > step]
        return min(self._compiled.steps_per_call, *ahead)

    def _after_step(self, active: Sequence[Member], before: int, step: int) -> None:
        """Does everything that is due between two calls of the compiled step."""
        engine, due = self._engine, due_after(active[0].experiment, before, step)
        interrupted = self._stop.arrived()
        stops: dict[Member, Stop] = {}
        if due.log or due.save or interrupted:
            sums = engine.metrics()
            seconds = engine.take_input_seconds() if due.log else 0.0
            for member in active:
                with self._ending(member):
                    member.look(sums[member.row])
                    if self._rounds is None:
                        member.check_finite()
                    if due.log and member.first_bad_step is None:
                        stop = member.tracker.log(sums[member.row], input_seconds=seconds)
                        if stop is not None:
                            stops[member] = stop
            if due.log:
                engine.reset_metrics()
        active = [member for member in active if member.outcome is None]
        metrics = self._evaluate(active, stops) if due.evaluate and active else {}
        stops = {} if due.last else stops
        for member, stop in stops.items():
            if stop.finish:
                member.tracker.stopped = stop.reason
                member.tracker.note(stop.reason)
        saved = active if due.save or interrupted else [m for m in active if m in stops]
        carries = engine.carries() if saved else []
        for member in saved:
            with self._ending(member):
                diverged = member.first_bad_step is not None
                member.save(carries[member.row], None if diverged else metrics.get(member))
        for member in active:
            with self._ending(member):
                if due.log:
                    member.checkpoints.check_for_errors()
                if member in stops and not stops[member].finish:
                    member.checkpoints.wait()
                    raise Pruned(step, stops[member].reason)
        if interrupted and not due.last:
            for member in active:
                member.checkpoints.wait()
            raise Interrupted(self._stop.signum, step)
        # What is saved is what was evaluated; a resumed population has this round first.
        if self._rounds is not None and due.evaluate and not due.last:
            self._rounds.after_evaluation(engine, step, [metrics[member] for member in active])

    def _evaluate(self, active: Sequence[Member], stops: dict[Member, Stop]) -> dict[Member, float]:
        """Evaluates the current weights; returns each member's metric that picks the best."""
        began = time.monotonic()
        engine, metrics = self._engine, {}
        sums = engine.evaluate(self._compiled.split)
        for member in active:
            with self._ending(member):
                variables = partial(engine.variables, member.row)
                metric, stop = member.tracker.evaluation(sums[member.row], variables)
                metrics[member] = metric
                if stop is not None:
                    stops.setdefault(member, stop)
        for member in active:
            member.tracker.not_training(time.monotonic() - began)
        return metrics

    def _ending(self, member: Member) -> contextlib.AbstractContextManager:
        return member.ending() if self._isolated else contextlib.nullcontext()
