"""One run in the training loop: its folder, rows, checkpoints and outcome."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.config import Config
from cnnlab.data import DatasetRecord
from cnnlab.data.describe import describe
from cnnlab.errors import UserError
from cnnlab.pretrained import LoadedWeights
from cnnlab.train.callbacks.base import Callback
from cnnlab.train.callbacks.configured import configured_callbacks
from cnnlab.train.callbacks.pruning import Pruned
from cnnlab.train.checkpoints.writer import CheckpointWriter
from cnnlab.train.engines.compiled_steps import Carry, CompiledSteps
from cnnlab.train.run_tracker import RunTracker
from cnnlab.train.runtime import hosts
from cnnlab.train.runtime.run_mirror import upload_now
from cnnlab.train.runtime.workdir import Workdir, config_bytes
from cnnlab.train.step import NEVER

MemberResult = dict[str, Any] | Exception


class Diverged(UserError):
    """A loss or gradient that was not finite; checkpoints before that step are intact."""


class Member:
    """A run that is trained alone or together with others.

    Attributes:
      folder: folder of the run.
      experiment: model, task and the other objects of the run.
      tracker: tracker of its rows.
      checkpoints: its checkpoints, once it is open.
      carry: `state` and `metrics` with which it starts, later those saved last.
      entry: step at which it starts.
      row: its row in the engine.
      first_bad_step: first step whose loss or gradient was not finite; None if there is none.
      outcome: its result, or the exception that ended it; None until then.
    """

    def __init__(
        self,
        compiled: CompiledSteps,
        config: Config,
        workdir: str | Path,
        callbacks: Sequence[Callback] = (),
    ):
        """Reads the run's folder without writing.

        Raises:
          UserError: a mistake in the config, or a folder with another run.
        """
        self._compiled, self.folder = compiled, Workdir(workdir)
        if hosts.is_first() and self.folder.has_run:
            self.folder.check_config(config, longer=True)
        self.experiment = compiled.experiment(config)
        self.tracker = RunTracker(
            self.experiment,
            self.folder,
            compiled.dataset,
            [*configured_callbacks(config), *callbacks],
            split=compiled.split,
        )
        self.checkpoints: CheckpointWriter
        self.carry: Carry
        self.entry = self.row = 0
        self.first_bad_step: int | None = None
        self.outcome: MemberResult | None = None

    def open(self, resources: contextlib.ExitStack, *, at: int | None = None) -> None:
        """Starts the run, or resumes it at the latest checkpoint or that of step `at`."""
        folder, compiled, tracker = self.folder, self._compiled, self.tracker
        config, first = self.experiment.config, hosts.is_first()
        if first and not folder.has_run and compiled.pretrained is not None:
            tracker.note(_describe(compiled.pretrained))
        hosts.check_same(config, self.experiment.info)
        if first:
            folder.create()
        self._target = compiled.parallel.abstract(
            {"state": self.experiment.abstract_state(), "metrics": compiled.zero_metrics}
        )
        keep = config.checkpoint.keep
        writer = CheckpointWriter(folder.path, keep=keep, mode=tracker.mode, report=tracker.note)
        self.checkpoints = resources.enter_context(writer)
        if first:
            for line in (*describe(compiled.dataset), *self.experiment.notes):
                tracker.note(line)
            record = DatasetRecord(self.experiment.info, compiled.dataset.paths)
            if extended := folder.is_extended_by(config):
                self._extend()
            folder.start(config, record, sys.argv)
        carry = self._restore(at)
        if hosts.from_first(lambda: extended):
            tracker.stopped = None
        if carry is None:
            # One host's weights for all: another make of CPU may round a draw differently.
            carry = compiled.new_carry(self.experiment) if first else None
            carry = hosts.arrays_from_first(carry, self._target)
        result = hosts.from_first(folder.result)
        self.carry, self.entry = carry, tracker.step
        self.look(carry["metrics"])
        if result is not None and tracker.step >= result["steps"]:
            tracker.note(f"{folder.shown} is complete; nothing is left to train.")
            self.outcome = result
            return
        resources.callback(self._end)
        tracker.start()

    def _restore(self, at: int | None) -> Carry | None:
        """Restores the latest checkpoint, or that of step `at`; None starts from the beginning."""
        if at == 0 or not self.checkpoints.steps():
            return None
        step, carry, state = self.checkpoints.restore(self._target, "latest" if at is None else at)
        self.tracker.load_state_dict(step, state)
        return carry

    def save(self, carry: Carry, metric: float | None = None) -> None:
        """Saves in the background; `metric` is that of the evaluation at this step, if any."""
        self.carry, tracker = carry, self.tracker
        self.checkpoints.save(tracker.step, carry, meta=tracker.state_dict(), metric=metric)
        tracker.saved()

    def best(self) -> tuple[int, Carry]:
        """Returns the step and state of the weights that the result is computed from.

        These are the best ones if there is a validation split, else the current ones.
        """
        tracker = self.tracker
        if tracker.split != "validation" or tracker.best_step in (None, tracker.step):
            return tracker.step, self.carry
        step, carry, _ = self.checkpoints.restore(self._target, "best")
        return step, carry

    def _extend(self) -> None:
        """Trains a run longer that was complete."""
        folder, config, total = self.folder, self.experiment.config, self.tracker.total_steps
        folder.check_config(config, longer=True)
        made = folder.result()["steps"]
        if total <= made:
            raise UserError(
                f"{folder.shown} is complete after {made} steps, and this config asks for {total}: "
                "a run can be trained longer, not shorter. Choose another workdir."
            )
        self.tracker.note(
            f"{folder.shown} was complete after {made} steps; it is trained longer, to step "
            f"{total}, with its optimizer state. The learning rate follows the schedule of "
            f"{total} steps."
        )
        self.checkpoints.accept("config.json", config_bytes(config))
        upload_now(folder.path)  # else a store could have the config beside those that refuse it
        folder.extend(config)

    @property
    def is_trained(self) -> bool:
        """Whether all its steps are done."""
        return self.tracker.stopped is not None or self.tracker.step >= self.tracker.total_steps

    def check_finite(self) -> None:
        """Raises `Diverged` if there was a step whose loss or gradient was not finite."""
        if self.first_bad_step is None:
            return
        self.checkpoints.wait()
        good = self.checkpoints.steps()
        kept = (
            f"the last good checkpoint is step {good[-1]}"
            if good
            else "there was no checkpoint before it"
        )
        rate = self.tracker.hparams["optimizer.learning_rate"]
        raise Diverged(
            f"The loss or its gradient was not finite at step {self.first_bad_step}; training "
            f"stopped, and {kept}. Try a smaller optimizer.learning_rate (now {rate}), a warm-up "
            "(schedule.warmup_epochs) or optimizer.clip_norm."
        )

    def look(self, metrics: dict[str, np.ndarray]) -> None:
        """Records the first step whose loss or gradient was not finite."""
        bad = int(metrics["first_bad_step"])
        if bad != NEVER and self.first_bad_step is None:
            self.first_bad_step = bad

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Context in which an error that ends the run becomes the outcome of this member only."""
        try:
            with self.folder.named_in_errors():
                yield
        except (UserError, Pruned, OSError) as error:
            self.outcome = error

    def _end(self) -> None:
        self.tracker.end(self.outcome if isinstance(self.outcome, dict) else None)


def _describe(weights: LoadedWeights) -> str:
    """Describes which part of the network has weights from `model.pretrained`."""
    new = ", ".join("/".join(path[1:]) for path in weights.new)
    return (
        f"Starting from pretrained weights: {len(weights.arrays)} arrays"
        + (f"; new: {new}" if new else "")
        + ("; first convolution adapted to the images' channels" if weights.adapted else "")
        + "."
    )
