"""What a run writes down while it trains: rows, checkpoints, the best so far; and what is due.

The loop drives one journal; a population (`cnnlab.sweep`) drives one for each member. Nothing here
touches the devices.
"""

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnlab.errors import UserError
from cnnlab.train import hosts
from cnnlab.train.checkpoint import CheckpointWriter
from cnnlab.train.checkpoint_shared import SharedCheckpoints
from cnnlab.train.display import Display
from cnnlab.train.numbers import Numbers, traceable_numbers
from cnnlab.train.records import NoRecords, Records, Row, finite
from cnnlab.train.setup import Setup
from cnnlab.train.state import PyTree, num_parameters
from cnnlab.train.step import NEVER
from cnnlab.train.watch import Pruned, Watch
from cnnlab.train.workdir import Workdir


class Diverged(UserError):
    """A loss or gradient that was not finite; checkpoints before that step are intact."""


@dataclasses.dataclass(frozen=True)
class Due:
    """What is to be done after a step: write training numbers, evaluate, save; is it the last."""

    log: bool
    judge: bool
    save: bool
    last: bool


def checkpoints_of(
    setup: Setup, folder: Workdir, display: Display
) -> CheckpointWriter | SharedCheckpoints:
    """Opens the checkpoints of a run for writing; on several hosts, the first one writes."""
    writer = None
    if hosts.is_first():
        keep, mode = setup.config.checkpoint.keep, setup.task.metrics[setup.metric]
        writer = CheckpointWriter(folder.path, keep=keep, mode=mode, report=display.note)
    return SharedCheckpoints(writer) if hosts.several() else writer


class Journal:
    """The records of one run.

    Attributes:
      step: updates made.
      numbers: of the config that are traced; as they are now.
      split: what is evaluated on the way: `validation`, or `test` where nothing is held out.
      stopped_early: whether evaluations without a better metric have ended the run.
    """

    def __init__(
        self,
        setup: Setup,
        folder: Workdir,
        checkpoints: CheckpointWriter | SharedCheckpoints,
        display: Display,
        *,
        split: str,
        watch: Watch | None = None,
    ):
        """Reads and writes nothing yet; see `cnnlab.train.fit` for `display` and `watch`."""
        self._setup, self._folder, self._checkpoints = setup, folder, checkpoints
        self._display, self._watch, self.split = display, watch, split
        self.step = 0
        self.numbers: Numbers = traceable_numbers(setup.config)
        self._progress: dict[str, Any] = {
            "best_metric": None,
            "best_step": None,
            "stale_evaluations": 0,
            "stopped_early": False,
            "seconds": 0.0,
        }
        self._records: Records | NoRecords = NoRecords()

    def restore(self, target: PyTree, at: int | None = None) -> PyTree | None:
        """The state and window of a checkpoint, and its place in the run; None at the beginning.

        Args:
          target: their shapes, types and sharding.
          at: step of the checkpoint, 0 for the beginning; None takes the latest.
        """
        carry = None
        if self._checkpoints.steps() and at != 0:
            which = "latest" if at is None else at
            self.step, carry, meta = self._checkpoints.restore(target, which)
            self._progress = meta["progress"]
            self.numbers |= {n: _as_given(value) for n, value in meta.get("numbers", {}).items()}
            self._display.note(f"Resuming at step {self.step} of {self._setup.total_steps}.")
        if hosts.is_first():
            folder = self._folder
            self._records = Records(folder.metrics, folder.tensorboard, after_step=self.step)
        return carry

    def close(self) -> None:
        """Closes the files of rows."""
        self._records.close()

    @property
    def stopped_early(self) -> bool:
        return self._progress["stopped_early"]

    @property
    def best_metric(self) -> float | None:
        """Of the evaluations so far; None where none was finite."""
        return self._progress["best_metric"]

    def complete_result(self) -> dict[str, Any] | None:
        """The result of a run of which nothing is left to train."""
        result = hosts.from_first(self._folder.result)
        if result is None or self.step < result["steps"]:
            return None
        self._display.note(f"{self._folder.path} is complete; nothing is left to train.")
        return result

    def start(self) -> None:
        """To be called right before the first step."""
        self._display.start(self.step, self._setup.total_steps)
        self._clock = self._timer = time.monotonic()
        self._timed_from = self.step

    def due(self, before: int) -> Due:
        """What is due at this step, if step `before` was the last one that was asked for."""
        setup = self._setup
        last = self.step >= setup.total_steps

        def due(every: int | None) -> bool:
            return every is not None and (last or self.step // every > before // every)

        judge = due(setup.eval_steps)
        return Due(due(setup.config.log_every_steps), judge, due(setup.save_steps) or judge, last)

    def check_finite(self, first_bad_step: int) -> None:
        """Raises `Diverged` unless that is `NEVER`."""
        if first_bad_step == NEVER:
            return
        self._checkpoints.wait()
        good = self._checkpoints.steps()
        kept = (
            f"the last good checkpoint is step {good[-1]}"
            if good
            else "there was no checkpoint before it"
        )
        rate = self.numbers["optimizer.learning_rate"]
        raise Diverged(
            f"The loss or its gradient was not finite at step {first_bad_step}; training stopped, "
            f"and {kept}. Try a smaller optimizer.learning_rate (now {rate}), a warm-up "
            "(schedule.warmup_epochs) or optimizer.clip_norm."
        )

    def log(self, window: Mapping[str, np.ndarray], *, input_seconds: float | None = None) -> None:
        """Writes a row of training.

        Args:
          window: metric sums since the last one.
          input_seconds: since the last one, in which the devices waited for input; None where
            that was not measured.
        """
        now = time.monotonic()
        images = (self.step - self._timed_from) * self._setup.config.batch_size
        steps = float(window["steps"])
        schedule = self._setup.with_numbers(self.numbers).schedule
        row: Row = {
            "step": self.step,
            "epoch": self._epoch(),
            "split": "train",
            **finite(self._setup.task.finalize(window)),
            "learning_rate": float(schedule(self.step - 1)),
            "grad_norm": float(window["grad_norm"]) / steps,
            "param_norm": float(window["param_norm"]) / steps,
            "images_per_second": round(images / (now - self._timer), 1),
        }
        if input_seconds is not None:
            row["input_wait"] = round(min(input_seconds / (now - self._timer), 1.0), 4)
        self._records.write(row)
        self._display.train(row)
        self._timed_from, self._timer = self.step, now

    def evaluation(
        self, sums: Mapping[str, np.ndarray], drawing: np.ndarray | None = None
    ) -> tuple[float, bool]:
        """Writes a row of evaluation.

        Returns the metric that picks the best, and whether the one who watches has seen enough.
        """
        numbers = self._setup.task.finalize(sums)
        row = {"step": self.step, "epoch": self._epoch(), "split": self.split, **finite(numbers)}
        if drawing is not None:
            self._records.picture(f"{self.split}/predictions", drawing, self.step)
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
        patience = self._setup.config.evaluation.early_stopping_patience
        if patience is not None and self._progress["stale_evaluations"] >= patience:
            self._progress["stopped_early"] = True
            self._display.note(
                f"No better {self._setup.metric} in {patience} evaluations: stopping early."
            )
        self._display.evaluation(row, best=better)
        enough = self._watch is not None and hosts.from_first(
            lambda: bool(self._watch(self.step, numbers))
        )
        return metric, enough and not self.stopped_early

    def not_training(self, seconds: float) -> None:
        """Leaves out a time, spent on an evaluation, of the rate of images in the next row."""
        self._timer += seconds

    def save(self, carry: PyTree, metric: float | None = None) -> None:
        """Saves state and window in the background, with the place in the run.

        Args:
          carry: `state` and `window`.
          metric: of the evaluation at this step, if there was one.
        """
        now = time.monotonic()
        self._progress["seconds"] += now - self._clock
        self._clock = now
        meta: dict[str, Any] = {"progress": self._progress}
        if self.numbers != traceable_numbers(self._setup.config):
            meta["numbers"] = self.numbers
        self._checkpoints.save(self.step, carry, meta=meta, metric=metric)

    def check_for_errors(self) -> None:
        """Raises what went wrong in the last save, if that has ended."""
        self._checkpoints.check_for_errors()

    def wait(self) -> None:
        """Waits until the last save is on the disk."""
        self._checkpoints.wait()

    def prune(self) -> None:
        """Ends a run that has been seen enough of: raises `Pruned` once the state is saved."""
        self.wait()
        raise Pruned(self.step)

    def judged(self, target: PyTree) -> tuple[int, PyTree | None]:
        """The step of the weights that are judged, and their checkpoint.

        The best where validation can tell them; None in place of the checkpoint where that is the
        present one.
        """
        if self.split != "validation" or self._progress["best_step"] in (None, self.step):
            return self.step, None
        step, carry, _ = self._checkpoints.restore(target, "best")
        return step, carry

    def finish(
        self, sums: Mapping[str, np.ndarray], checkpoint_step: int, params: PyTree
    ) -> dict[str, Any]:
        """Writes the result.

        Args:
          sums: over the test split.
          checkpoint_step: of the weights that were judged.
          params: of one such network.
        """
        numbers = finite(self._setup.task.finalize(sums))
        self._records.write({"step": self.step, "epoch": self._epoch(), "split": "test", **numbers})
        result = {
            "test": numbers,
            "checkpoint_step": checkpoint_step,
            "steps": self.step,
            "num_parameters": num_parameters(params),
            "seconds": round(self._progress["seconds"], 1),
        }
        if hosts.is_first():
            np.save(self._folder.confusion, sums["confusion"])
            self._folder.write("result.json", result)
        return result

    def _epoch(self) -> float:
        examples = self._setup.info.num_examples["train"]
        return round(self.step * self._setup.config.batch_size / examples, 4)


def _as_given(value: Any) -> Any:
    """A number, or a pair of them, as the config has it; JSON has made a list of a pair."""
    return tuple(value) if isinstance(value, list) else value
