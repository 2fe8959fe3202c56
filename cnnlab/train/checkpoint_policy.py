"""When a run is saved, and which checkpoint its result is computed from."""

import dataclasses
from typing import Any

from cnnlab.arrays import PyTree
from cnnlab.train.checkpoints.writer import CheckpointWriter
from cnnlab.train.experiment import Experiment
from cnnlab.train.run_tracker import RunTracker


@dataclasses.dataclass(frozen=True)
class Due:
    """Which actions are due after a step, and whether it is the last."""

    log: bool
    evaluate: bool
    save: bool
    last: bool


def due_after(experiment: Experiment, before: int, step: int) -> Due:
    """Returns what is due at `step`, given that the previous call was for step `before`."""
    last = step >= experiment.total_steps

    def due(every: int | None) -> bool:
        return every is not None and (last or step // every > before // every)

    evaluate = due(experiment.eval_steps)
    save = due(experiment.save_steps) or evaluate
    # Short runs have curves too.
    log_steps = min(experiment.config.log_every_steps, max(experiment.total_steps // 10, 1))
    return Due(due(log_steps), evaluate, save, last)


class CheckpointPolicy:
    """The checkpoints of one run."""

    def __init__(self, tracker: RunTracker, target: PyTree):
        """Takes the lock of the run's folder.

        Args:
          tracker: tracker of the run.
          target: shapes, dtypes and sharding of the saved `state` and `metrics`.
        """
        self._checkpoints = CheckpointWriter(
            tracker.workdir,
            keep=tracker.config.checkpoint.keep,
            mode=tracker.mode,
            report=tracker.note,
        )
        self._tracker, self._target = tracker, target

    def __enter__(self) -> "CheckpointPolicy":
        self._checkpoints.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._checkpoints.__exit__(*exception)

    def restore(self, at: int | None = None) -> PyTree | None:
        """Restores a checkpoint; returns None if the run starts from the beginning.

        Args:
          at: step of the checkpoint, 0 for the beginning; None takes the latest.
        """
        if at == 0 or not self._checkpoints.steps():
            return None
        step, carry, state = self._checkpoints.restore(self._target, "latest" if at is None else at)
        self._tracker.load_state_dict(step, state)
        return carry

    def accept(self, name: str, data: bytes) -> None:
        """See `CheckpointWriter.accept`."""
        self._checkpoints.accept(name, data)

    def save(self, carry: PyTree, metric: float | None = None) -> None:
        """Saves in the background.

        Args:
          carry: `state` and `metrics`.
          metric: metric of the evaluation at this step, if there was one.
        """
        tracker = self._tracker
        self._checkpoints.save(tracker.step, carry, meta=tracker.state_dict(), metric=metric)
        tracker.saved()

    def best(self) -> tuple[int, PyTree | None]:
        """Returns the step of the weights that the result is computed from, and their checkpoint.

        These are the best ones if there is a validation split. The checkpoint is None if they are
        the current ones.
        """
        tracker = self._tracker
        if tracker.split != "validation" or tracker.best_step in (None, tracker.step):
            return tracker.step, None
        step, carry, _ = self._checkpoints.restore(self._target, "best")
        return step, carry

    def steps(self) -> list[int]:
        """Steps of the undamaged checkpoints, ascending."""
        return self._checkpoints.steps()

    def check_for_errors(self) -> None:
        """Raises the error of the last save, if it has failed."""
        self._checkpoints.check_for_errors()

    def wait(self) -> None:
        """Waits until the last save is on disk."""
        self._checkpoints.wait()
