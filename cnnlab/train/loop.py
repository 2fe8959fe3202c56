"""Trains: the only place where steps, evaluation, checkpoints, records and signals meet."""

import math
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from cnnlab.config import Config
from cnnlab.data import Dataset
from cnnlab.errors import UserError
from cnnlab.pretrained import Fit
from cnnlab.train import hosts
from cnnlab.train.checkpoint import CheckpointWriter
from cnnlab.train.checkpoint_shared import SharedCheckpoints
from cnnlab.train.display import Display, PlainDisplay, Silence
from cnnlab.train.evaluate import evaluate
from cnnlab.train.feed import make_feed
from cnnlab.train.gallery import Gallery, Picture
from cnnlab.train.interrupts import Interrupted, SharedStopRequests, StopRequests
from cnnlab.train.pace import Pace
from cnnlab.train.parallel import Parallel, check_divisible, make_parallel
from cnnlab.train.records import NoRecords, Records, Row, finite
from cnnlab.train.setup import Setup, load_data, make_setup
from cnnlab.train.state import num_parameters
from cnnlab.train.step import NEVER, Sums, add_sums
from cnnlab.train.watch import Pruned, Watch
from cnnlab.train.workdir import Workdir


class Diverged(UserError):
    """A loss or gradient that was not finite; checkpoints before that step are intact."""


def fit(
    config: Config,
    workdir: str | Path,
    *,
    display: Display | None = None,
    picture: Picture | None = None,
    watch: Watch | None = None,
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

    Returns:
      The content of result.json: metrics on the test split, the step of the checkpoint they belong
      to, updates made, number of parameters and seconds of training.

    Raises:
      UserError: anything the user can mend; `Diverged` for a loss that is not finite.
      LostHostError: another host has ended.
      Interrupted: SIGTERM or SIGINT arrived, at any host; the state is saved.
      Pruned: `watch` ended the run before its last step; the state is saved.
    """
    with hosts.losses_named():
        return _fit(config, Workdir(workdir), display or PlainDisplay(), picture, watch)


def _fit(
    config: Config,
    folder: Workdir,
    display: Display,
    picture: Picture | None,
    watch: Watch | None,
) -> dict[str, Any]:
    first = hosts.is_first()
    if not first:
        display = Silence()
    elif folder.has_run:
        folder.check_config(config)
    dataset = load_data(config)
    setup = make_setup(config, dataset.info)
    # The step is traced before anything is written, so that a mistake leaves no run behind.
    zero_window = setup.zero_window()
    if first and not folder.has_run:
        _describe(setup.read_pretrained(), display)
    parallel = make_parallel(config.parallel, config.num_devices)
    check_divisible("batch_size", config.batch_size, parallel)
    hosts.check_same(config, dataset.info)
    if first:
        folder.create()
    with (
        folder.named_in_errors(),
        SharedStopRequests() if hosts.several() else StopRequests() as stop,
        _checkpoints(setup, folder, display) as checkpoints,
    ):
        if first:
            folder.write_config(config)
            folder.write("dataset.json", dataset.info.to_json())
            folder.record_start(sys.argv)
        with _Run(
            setup,
            dataset,
            parallel,
            folder,
            checkpoints,
            display,
            stop,
            zero_window,
            picture,
            watch,
        ) as run:
            return run.complete()


def _checkpoints(
    setup: Setup, folder: Workdir, display: Display
) -> CheckpointWriter | SharedCheckpoints:
    writer = None
    if hosts.is_first():
        keep, mode = setup.config.checkpoint.keep, setup.task.metrics[setup.metric]
        writer = CheckpointWriter(folder.path, keep=keep, mode=mode, report=display.note)
    return SharedCheckpoints(writer) if hosts.several() else writer


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
    """The mutable side of a run."""

    def __init__(
        self,
        setup: Setup,
        dataset: Dataset,
        parallel: Parallel,
        folder: Workdir,
        checkpoints: CheckpointWriter | SharedCheckpoints,
        display: Display,
        stop: StopRequests,
        zero_window: Sums,
        picture: Picture | None,
        watch: Watch | None,
    ):
        self._setup, self._dataset, self._parallel = setup, dataset, parallel
        self._folder, self._checkpoints = folder, checkpoints
        self._display, self._stop, self._watch = display, stop, watch
        self._eval_split = "validation" if "validation" in dataset.splits else "test"
        self._progress: dict[str, Any] = {
            "best_metric": None,
            "best_step": None,
            "stale_evaluations": 0,
            "stopped_early": False,
            "seconds": 0.0,
        }
        self.step = 0
        self._zero_window = zero_window
        self._carry = self._start_carry()
        self._first = hosts.is_first()
        self._records = NoRecords()
        if self._first:
            self._records = Records(folder.metrics, folder.tensorboard, after_step=self.step)
        self._eval_call = self._parallel.compile_eval(setup.eval_step())
        self._gallery = None
        if picture is not None and setup.config.task == "segmentation" and self._first:
            self._gallery = Gallery(setup, dataset.splits[self._eval_split], picture)

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, *exception: object) -> None:
        self._display.stop()
        self._records.close()

    def complete(self) -> dict[str, Any]:
        """Trains what is left, judges the result, and writes it."""
        result = hosts.from_first(self._folder.result)
        if result is not None and self.step >= result["steps"]:
            self._display.note(f"{self._folder.path} is complete; nothing is left to train.")
            return result
        if not self._progress["stopped_early"]:
            self._train()
        self._checkpoints.wait()
        return self._judge()

    def _start_carry(self) -> dict[str, Any]:
        """State and metric sums since the last log: restored, or new."""
        setup, window = self._setup, jax.tree.map(jnp.array, self._zero_window)
        shapes = {"state": setup.abstract_state(), "window": window}
        if self._checkpoints.steps():
            target = self._parallel.abstract(shapes)
            self.step, carry, meta = self._checkpoints.restore(target)
            self._progress = meta["progress"]
            self._display.note(f"Resuming at step {self.step} of {setup.total_steps}.")
        else:
            # One host's weights for all: another make of CPU may round a draw differently.
            carry = {"state": setup.create_state(), "window": window} if hosts.is_first() else None
            carry = hosts.arrays_from_first(carry, shapes)
        return self._parallel.replicate(carry)

    def _train(self) -> None:
        setup, config = self._setup, self._setup.config
        step_fn = setup.train_step(self._parallel.axis_name)

        def advance(carry: dict[str, Any], batch: dict[str, jax.Array]) -> dict[str, Any]:
            state, sums = step_fn(carry["state"], batch)
            return {"state": state, "window": add_sums(carry["window"], sums)}

        steps_per_call = config.steps_per_call or (1 if jax.default_backend() == "cpu" else 10)
        calls = {
            count: self._parallel.compile_train(advance, count)
            for count in {steps_per_call, setup.total_steps % steps_per_call} - {0}
        }
        feed = make_feed(
            self._dataset.splits["train"],
            self._parallel,
            seed=config.seed,
            batch_size=config.batch_size,
            start_step=self.step,
            stop_step=setup.total_steps,
            steps_per_call=steps_per_call,
            num_workers=config.data.num_workers,
        )
        self._display.start(self.step, setup.total_steps)
        self._clock = time.monotonic()
        self._timed_from = self.step
        self._timer = time.monotonic()
        pace = Pace()
        for count, batch in feed:
            self._carry = calls[count](self._carry, batch)
            before, self.step = self.step, self.step + count
            if pace.wait_is_due():
                jax.block_until_ready(self._carry)
                pace.waited()
                self._display.progress(self.step)
            self._after_step(before)
            if self._progress["stopped_early"]:
                break

    def _after_step(self, before: int) -> None:
        """Everything that is due between two calls of the compiled step."""
        setup = self._setup
        last = self.step >= setup.total_steps

        def due(every: int | None) -> bool:
            return every is not None and (last or self.step // every > before // every)

        log, judge = due(setup.config.log_every_steps), due(setup.eval_steps)
        interrupted = self._stop.arrived()
        save = due(setup.save_steps) or judge or interrupted
        if log or save:
            self._check_finite()
        if log:
            self._log()
        metric, enough = self._evaluate() if judge else (None, False)
        if save:
            now = time.monotonic()
            self._progress["seconds"] += now - self._clock
            self._clock = now
            self._checkpoints.save(
                self.step,
                self._parallel.collect(self._carry),
                meta={"progress": self._progress},
                metric=metric,
            )
        if log:
            self._checkpoints.check_for_errors()
        if enough and not last and not self._progress["stopped_early"]:
            self._checkpoints.wait()
            raise Pruned(self.step)
        if interrupted and not last:
            self._checkpoints.wait()
            raise Interrupted(self._stop.signum, self.step)

    def _check_finite(self) -> None:
        window = self._parallel.collect(self._carry["window"])
        bad = int(window["first_bad_step"])
        if bad == NEVER:
            return
        self._checkpoints.wait()
        good = self._checkpoints.steps()
        kept = (
            f"the last good checkpoint is step {good[-1]}"
            if good
            else "there was no checkpoint before it"
        )
        rate = self._setup.config.optimizer.learning_rate
        raise Diverged(
            f"The loss or its gradient was not finite at step {bad}; training stopped, and {kept}. "
            f"Try a smaller optimizer.learning_rate (now {rate}), a warm-up "
            "(schedule.warmup_epochs) or optimizer.clip_norm."
        )

    def _epoch(self) -> float:
        examples = self._setup.info.num_examples["train"]
        return self.step * self._setup.config.batch_size / examples

    def _log(self) -> None:
        window = jax.device_get(self._parallel.collect(self._carry["window"]))
        now = time.monotonic()
        images = (self.step - self._timed_from) * self._setup.config.batch_size
        steps = float(window["steps"])
        row: Row = {
            "step": self.step,
            "epoch": round(self._epoch(), 4),
            "split": "train",
            **finite(self._setup.task.finalize(window)),
            "learning_rate": float(self._setup.schedule(self.step - 1)),
            "grad_norm": float(window["grad_norm"]) / steps,
            "param_norm": float(window["param_norm"]) / steps,
            "images_per_second": round(images / (now - self._timer), 1),
        }
        self._records.write(row)
        self._display.train(row)
        # A copy each time: the compiled step overwrites the buffers it is given.
        zeros = jax.tree.map(jnp.array, self._zero_window)
        self._carry = self._carry | {"window": self._parallel.replicate(zeros)}
        self._timed_from, self._timer = self.step, now

    def _evaluate(self) -> tuple[float, bool]:
        """Judges the present weights.

        Returns the metric that picks the best, and whether the one who watches has seen enough.
        """
        began = time.monotonic()
        config = self._setup.config
        variables = self._carry["state"].variables
        sums = self._sums(variables, self._eval_split)
        if self._gallery is not None:
            drawing = self._gallery.draw(self._parallel.collect(variables))
            Image.fromarray(drawing).save(self._folder.predictions)
            self._records.picture(f"{self._eval_split}/predictions", drawing, self.step)
        numbers = self._setup.task.finalize(sums)
        row = {
            "step": self.step,
            "epoch": round(self._epoch(), 4),
            "split": self._eval_split,
            **finite(numbers),
        }
        self._records.write(row)
        self._records.flush()
        metric = numbers[self._setup.metric]
        best = self._progress["best_metric"]
        better = best is None or (
            metric > best
            if self._setup.task.metrics[self._setup.metric] == "max"
            else metric < best
        )
        if better and math.isfinite(metric):
            self._progress |= {
                "best_metric": metric,
                "best_step": self.step,
                "stale_evaluations": 0,
            }
        else:
            self._progress["stale_evaluations"] += 1
        patience = config.evaluation.early_stopping_patience
        if patience is not None and self._progress["stale_evaluations"] >= patience:
            self._progress["stopped_early"] = True
            self._display.note(
                f"No better {self._setup.metric} in {patience} evaluations: stopping early."
            )
        self._display.evaluation(row, best=better)
        enough = self._watch is not None and hosts.from_first(
            lambda: bool(self._watch(self.step, numbers))
        )
        self._timer += time.monotonic() - began  # evaluation does not count as training time
        return metric, enough

    def _sums(self, variables: Any, split: str) -> dict[str, np.ndarray]:
        config = self._setup.config
        return evaluate(
            self._eval_call,
            variables,
            self._dataset.splits[split],
            self._parallel,
            batch_size=config.evaluation.batch_size or config.batch_size,
        )

    def _judge(self) -> dict[str, Any]:
        """Final numbers on the test split, of the best weights where validation can tell them."""
        step, state = self.step, self._carry["state"]
        if self._eval_split == "validation" and self._progress["best_step"] not in (None, step):
            carry = self._parallel.collect(self._carry)
            step, carry, _ = self._checkpoints.restore(self._parallel.abstract(carry), "best")
            state = self._parallel.replicate(carry["state"])
        sums = self._sums(state.variables, "test")
        numbers = finite(self._setup.task.finalize(sums))
        if self._first:
            np.save(self._folder.confusion, sums["confusion"])
        self._records.write(
            {"step": self.step, "epoch": round(self._epoch(), 4), "split": "test", **numbers}
        )
        result = {
            "test": numbers,
            "checkpoint_step": step,
            "steps": self.step,
            "num_parameters": num_parameters(self._parallel.collect(state).params),
            "seconds": round(self._progress["seconds"], 1),
        }
        if self._first:
            self._folder.write("result.json", result)
        return result
