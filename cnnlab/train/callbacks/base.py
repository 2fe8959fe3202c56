"""The interface of callbacks: everything in a run that is not the training step itself.

For example, a message after each evaluation:

    class Slack(cnnlab.train.Callback):
        def on_evaluation(self, run, row):
            post(f"{run.workdir}: step {row['step']}, {run.metric} {row[run.metric]}")

    fit(config, "runs/mine", callbacks=[Slack()])
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnnlab.arrays import PyTree
from cnnlab.config import Config
from cnnlab.data import Dataset, DatasetInfo
from cnnlab.train.experiment import Experiment
from cnnlab.train.runtime import hosts

# One line of metrics.jsonl: `step`, `epoch`, `split` (train, validation or test) and metrics, None
# in place of what is not finite.
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stop:
    """Returned by a callback to stop the run.

    Attributes:
      reason: one sentence.
      finish: whether the run is complete: its weights are scored on the test split, and starting
        it again trains nothing. Otherwise its state is saved, `fit` raises `Pruned`, and it can be
        resumed.
    """

    reason: str
    finish: bool = True


class RunView(Protocol):
    """Read-only view of a run for callbacks.

    Attributes:
      experiment: model, task and the other objects of the run.
      config: config of the run.
      info: description of the data set.
      dataset: the data set.
      workdir: folder of the run.
      step: number of updates so far.
      total_steps: number of updates of the whole run.
      epoch: number of passes over the training split so far.
      split: split of the periodic evaluation: `validation`, or `test` if nothing is held out.
      metric: name of the metric that picks the best checkpoint.
      mode: `max` or `min`, the direction in which that metric improves.
      best_metric: the metric's best value so far; None before the first finite one.
      best_step: step of that value.
    """

    experiment: Experiment
    config: Config
    info: DatasetInfo
    dataset: Dataset
    workdir: Path
    step: int
    total_steps: int
    epoch: float
    split: str
    metric: str
    mode: str
    best_metric: float | None
    best_step: int | None

    def variables(self) -> PyTree:
        """Returns the evaluated weights, on one device; only during `on_evaluation`."""

    def note(self, text: str) -> None:
        """Shows the user a line of text."""

    def show(self, name: str, pixels: np.ndarray) -> None:
        """Passes a picture, uint8 [height, width, 3], to the callbacks that store pictures."""


class Callback:
    """Base class of callbacks, whose methods do nothing; subclasses override what they need.

    On several hosts, callbacks are called on the first one only.
    """

    def on_start(self, run: RunView) -> None:
        """Called when training starts, or resumes after `run.step` updates."""

    def on_progress(self, run: RunView) -> None:
        """Called about twice per second as `run.step` advances, or after each slower step."""

    def on_log(self, run: RunView, row: Row) -> Stop | None:
        """Called with a row of training metrics; may return `Stop` to end the run."""

    def on_evaluation(self, run: RunView, row: Row) -> Stop | None:
        """Called with a row of a periodic evaluation; may return `Stop` to end the run."""

    def on_test(self, run: RunView, row: Row) -> None:
        """Called with the row of the test split, right before result.json is written.

        A run that is killed before that file is there calls it again when it is resumed.
        """

    def on_checkpoint(self, run: RunView, step: int) -> None:
        """Called when the checkpoint of that step has been passed to the writer."""

    def on_note(self, run: RunView, text: str) -> None:
        """Called with a line of text from `RunView.note`."""

    def on_image(self, run: RunView, name: str, pixels: np.ndarray) -> None:
        """Called with a picture of another callback from `RunView.show`."""

    def on_end(self, run: RunView, result: dict[str, Any] | None) -> None:
        """Called when the run ends, with the result of `fit`, or None if it is not complete."""

    def state_dict(self) -> dict[str, Any]:
        """Returns state that must survive a kill, as JSON values; saved with every checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state saved with the checkpoint from which the run resumes."""


class CallbackList:
    """The callbacks of one run, called in order; on several hosts, on the first one only."""

    def __init__(self, callbacks: Sequence[Callback]):
        self._callbacks = list(callbacks) if hosts.is_first() else []

    def call(self, event: str, *args: Any) -> None:
        """Calls the method `on_EVENT` of each callback."""
        for callback in self._callbacks:
            getattr(callback, f"on_{event}")(*args)

    def ask(self, event: str, *args: Any) -> Stop | None:
        """Does the same and returns, on all hosts, the first `Stop` that a callback returns."""

        def asked() -> dict[str, Any] | None:
            answers = [getattr(each, f"on_{event}")(*args) for each in self._callbacks]
            stops = [answer for answer in answers if answer is not None]
            return dataclasses.asdict(stops[0]) if stops else None

        stop = hosts.from_first(asked)
        return None if stop is None else Stop(**stop)

    def state_dict(self) -> dict[str, Any]:
        """Returns the callbacks' states that are not empty, by class name."""
        states = {type(each).__name__: each.state_dict() for each in self._callbacks}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Restores the states that `state_dict` returned."""
        for each in self._callbacks:
            if type(each).__name__ in states:
                each.load_state_dict(states[type(each).__name__])
