"""Trains: the only place where steps, evaluation, checkpoints, records and signals meet."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from cnnlab.config import Config
from cnnlab.pretrained import Fit
from cnnlab.train import hosts
from cnnlab.train.display import Display, PlainDisplay, Silence
from cnnlab.train.evaluate import evaluate
from cnnlab.train.feed import make_feed
from cnnlab.train.gallery import Gallery, Picture
from cnnlab.train.interrupts import Interrupted, SharedStopRequests, StopRequests
from cnnlab.train.journal import Journal, checkpoints_of
from cnnlab.train.pace import Pace
from cnnlab.train.prefetch import InputClock
from cnnlab.train.programs import Carry, Programs
from cnnlab.train.setup import Setup
from cnnlab.train.watch import Watch
from cnnlab.train.workdir import Workdir


def fit(
    config: Config,
    workdir: str | Path,
    *,
    display: Display | None = None,
    picture: Picture | None = None,
    watch: Watch | None = None,
    programs: Programs | None = None,
) -> dict[str, Any]:
    """Trains as `config` says, or goes on where an earlier call left off.

    On several hosts that have met (`cnnlab.train.hosts.join`), all call this alike; the first one
    reads and writes the folder.

    Args:
      config: the experiment.
      workdir: folder of the run; see `cnnlab.train.workdir` for what it will hold. If it holds a
        run with the same config, that run is resumed, bit for bit on the same devices.
      display: what a person sees; None prints plain lines.
      picture: draws predicted label maps, for segmentation; the drawing of each evaluation goes to
        `predictions.png` and to TensorBoard. None draws none.
      watch: told the step and the numbers of each evaluation; ends the run where it returns True.
        A resumed run tells only of those that come after its checkpoint.
      programs: data and compiled functions that runs before this one have left, whose configs
        differ only in numbers that are traced; None makes its own.

    Returns:
      The content of result.json: metrics on the test split, the step of the checkpoint they belong
      to, updates made, number of parameters and seconds of training.

    Raises:
      UserError: anything the user can mend; `Diverged` for a loss that is not finite.
      LostHostError: another host has ended.
      Interrupted: SIGTERM or SIGINT arrived, at any host; the state is saved.
      Pruned: `watch` ended the run before its last step; the state is saved.
    """
    folder = Workdir(workdir)
    with hosts.losses_named():
        if hosts.is_first() and folder.has_run:
            folder.check_config(config)
        # The step is traced before anything is written, so that a mistake leaves no run behind.
        programs = programs or Programs(config)
        return _fit(programs, config, folder, display or PlainDisplay(), picture, watch)


def _fit(
    programs: Programs,
    config: Config,
    folder: Workdir,
    display: Display,
    picture: Picture | None,
    watch: Watch | None,
) -> dict[str, Any]:
    first = hosts.is_first()
    if not first:
        display = Silence()
    setup = programs.setup(config)
    if first and not folder.has_run:
        _describe(setup.read_pretrained(), display)
    hosts.check_same(config, setup.info)
    if first:
        folder.create()
    with (
        folder.named_in_errors(),
        SharedStopRequests() if hosts.several() else StopRequests() as stop,
        checkpoints_of(setup, folder, display) as checkpoints,
    ):
        if first:
            folder.write_config(config)
            folder.write("dataset.json", setup.info.to_json())
            folder.record_start(sys.argv)
        journal = Journal(setup, folder, checkpoints, display, split=programs.split, watch=watch)
        try:
            return _Run(programs, setup, journal, folder, display, stop, picture).complete()
        finally:
            display.stop()
            journal.close()


def _describe(found: Fit | None, display: Display) -> None:
    """Says how much of the network `model.pretrained` gives."""
    if found is None:
        return
    new = ", ".join("/".join(path[1:]) for path in found.new)
    display.note(
        f"Starting from pretrained weights: {len(found.arrays)} arrays"
        + (f"; new: {new}" if new else "")
        + ("; first convolution adapted to the images' channels" if found.adapted else "")
        + "."
    )


class _Run:
    """The devices' side of a run."""

    def __init__(
        self,
        programs: Programs,
        setup: Setup,
        journal: Journal,
        folder: Workdir,
        display: Display,
        stop: StopRequests,
        picture: Picture | None,
    ):
        self._programs, self._setup, self._journal = programs, setup, journal
        self._dataset, self._parallel = programs.dataset, programs.parallel
        self._folder, self._display, self._stop = folder, display, stop
        self._gallery = None
        if picture is not None and setup.config.task == "segmentation" and hosts.is_first():
            self._gallery = Gallery(setup, self._dataset.splits[journal.split], picture)
        # Shapes, types and sharding of what checkpoints hold.
        self._saved = self._parallel.abstract(
            {"state": setup.abstract_state(), "window": programs.zero_window}
        )
        self._carry = self._start_carry()

    def complete(self) -> dict[str, Any]:
        """Trains what is left, judges the result, and writes it."""
        result = self._journal.complete_result()
        if result is not None:
            return result
        if not self._journal.stopped_early:
            self._train()
        self._journal.wait()
        return self._judge()

    def _start_carry(self) -> Carry:
        """Numbers, state and metric sums since the last log: restored, or new."""
        carry = self._journal.restore(self._saved)
        if carry is None:
            # One host's weights for all: another make of CPU may round a draw differently.
            if hosts.is_first():
                carry = self._programs.new_carry(self._setup)
            carry = hosts.arrays_from_first(carry, self._saved)
        numbers = jax.tree.map(jnp.asarray, self._journal.numbers)
        return self._parallel.replicate(carry | {"numbers": numbers})

    def _train(self) -> None:
        config, journal = self._setup.config, self._journal
        total = self._setup.total_steps
        feed = make_feed(
            self._dataset.splits["train"],
            self._parallel,
            seed=config.seed,
            batch_size=config.batch_size,
            start_step=journal.step,
            stop_step=total,
            steps_per_call=self._programs.steps_per_call,
            num_workers=config.data.num_workers,
        )
        journal.start()
        pace = Pace()
        with contextlib.closing(feed):
            self._input = InputClock(feed, self._devices_idle)
            for count, batch in self._input:
                self._carry = self._programs.train(count)(self._carry, batch)
                before, journal.step = journal.step, journal.step + count
                if pace.wait_is_due():
                    jax.block_until_ready(self._carry)
                    pace.waited()
                    self._display.progress(journal.step)
                self._after_step(before)
                if journal.stopped_early:
                    break

    def _devices_idle(self) -> bool:
        return self._carry["window"]["steps"].is_ready()

    def _after_step(self, before: int) -> None:
        """Everything that is due between two calls of the compiled step."""
        journal, due = self._journal, self._journal.due(before)
        interrupted = self._stop.arrived()
        save = due.save or interrupted
        if due.log or save:
            window = jax.device_get(self._parallel.collect(self._carry["window"]))
            journal.check_finite(int(window["first_bad_step"]))
        if due.log:
            journal.log(window, input_seconds=self._input.take())
            # A copy each time: the compiled step overwrites the buffers it is given.
            zeros = jax.tree.map(jnp.array, self._programs.zero_window)
            self._carry = self._carry | {"window": self._parallel.replicate(zeros)}
        metric, enough = self._evaluate() if due.judge else (None, False)
        if save:
            carry = {name: self._carry[name] for name in self._saved}
            journal.save(self._parallel.collect(carry), metric)
        if due.log:
            journal.check_for_errors()
        if enough and not due.last:
            journal.prune()
        if interrupted and not due.last:
            journal.wait()
            raise Interrupted(self._stop.signum, journal.step)

    def _evaluate(self) -> tuple[float, bool]:
        """Judges the present weights; see `Journal.evaluation`."""
        began = time.monotonic()
        variables = self._parallel.whole(self._carry["state"].variables)
        sums = self._sums(variables, self._journal.split)
        drawing = None
        if self._gallery is not None:
            drawing = self._gallery.draw(self._parallel.collect(variables))
            Image.fromarray(drawing).save(self._folder.predictions)
        judgement = self._journal.evaluation(sums, drawing)
        self._journal.not_training(time.monotonic() - began)
        return judgement

    def _sums(self, variables: Any, split: str) -> dict[str, np.ndarray]:
        config = self._setup.config
        return evaluate(
            self._programs.eval,
            variables,
            self._dataset.splits[split],
            self._parallel,
            batch_size=config.evaluation.batch_size or config.batch_size,
        )

    def _judge(self) -> dict[str, Any]:
        """Final numbers on the test split, of the best weights where validation can tell them."""
        step, carry = self._journal.judged(self._saved)
        state = self._carry["state"]
        if carry is not None:
            state = self._parallel.replicate(carry["state"])
        sums = self._sums(self._parallel.whole(state.variables), "test")
        return self._journal.finish(sums, step, self._parallel.collect(state.params))
