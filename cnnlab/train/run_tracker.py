"""The rows of a run and its best metric, as callbacks see them."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.arrays import PyTree
from cnnlab.data import Dataset
from cnnlab.tasks.classification import at_chance
from cnnlab.train.callbacks.base import Callback, CallbackList, Row, Stop
from cnnlab.train.callbacks.json_lines import finite
from cnnlab.train.experiment import Experiment
from cnnlab.train.runtime import hosts
from cnnlab.train.runtime.workdir import Workdir
from cnnlab.train.state import num_parameters


class RunTracker:
    """Computes the rows of one run, passes them to its callbacks, and tracks the best metric.

    It is the `RunView` of those callbacks, and touches no devices.

    Attributes:
      step: number of updates so far.
      hparams: current hyper-parameters of the run.
      stopped: reason for which a callback ended the run for good; None while it trains.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: Workdir,
        dataset: Dataset,
        callbacks: Sequence[Callback],
        *,
        split: str,
    ):
        """Creates a tracker; writes nothing yet."""
        self.experiment, self.dataset, self.split = experiment, dataset, split
        self.config, self.info, self.workdir = experiment.config, experiment.info, folder.path
        self.metric, self.mode = experiment.metric, experiment.task.metrics[experiment.metric]
        self.total_steps = experiment.total_steps
        self.step = 0
        self.hparams = dict(experiment.hparams)
        self.best_metric: float | None = None
        self.best_step: int | None = None
        self.stopped: str | None = None
        self._folder, self._callbacks = folder, CallbackList(callbacks)
        self._seconds, self._clock = 0.0, None
        self._started = False

    @property
    def epoch(self) -> float:
        """Number of passes over the training split so far."""
        examples = self.info.num_examples["train"]
        return round(self.step * self.config.batch_size / examples, 4)

    def variables(self) -> PyTree:
        """Returns the evaluated weights, on one device; only during `on_evaluation`."""
        return self._variables()

    def note(self, text: str) -> None:
        """Passes a line of text to the callbacks."""
        self._callbacks.call("note", self, text)

    def show(self, name: str, pixels: np.ndarray) -> None:
        """Passes a picture, uint8 [height, width, 3], to the callbacks that store pictures."""
        self._callbacks.call("image", self, name, pixels)

    def state_dict(self) -> dict[str, Any]:
        """Returns the tracker's state as JSON values, to be saved with a checkpoint."""
        now = time.monotonic()
        if self._clock is not None:
            self._seconds += now - self._clock
            self._clock = now
        state: dict[str, Any] = {
            "progress": {
                "best_metric": self.best_metric,
                "best_step": self.best_step,
                "stopped": self.stopped,
                "seconds": self._seconds,
            },
            "callbacks": self._callbacks.state_dict(),
        }
        if self.hparams != self.experiment.hparams:
            state["hparams"] = self.hparams
        return state

    def load_state_dict(self, step: int, state: Mapping[str, Any]) -> None:
        """Restores the state saved with the checkpoint of `step`."""
        progress = state["progress"]
        self.step, self.stopped = step, progress["stopped"]
        self.best_metric, self.best_step = progress["best_metric"], progress["best_step"]
        self._seconds = progress["seconds"]
        self.hparams |= {n: _as_given(value) for n, value in state.get("hparams", {}).items()}
        self._callbacks.load_state_dict(state["callbacks"])
        self.note(f"Resuming at step {step} of {self.total_steps}.")

    def start(self) -> None:
        """Calls `on_start` of the callbacks."""
        self._started = True
        self._callbacks.call("start", self)

    def start_clock(self) -> None:
        """Starts the throughput clock; called right before the first step."""
        self._clock = self._timer = time.monotonic()
        self._timed_from = self.step

    def progress(self) -> None:
        """Calls `on_progress` of the callbacks."""
        self._callbacks.call("progress", self)

    def end(self, result: dict[str, Any] | None) -> None:
        """Calls `on_end` of the callbacks."""
        if self._started:
            self._callbacks.call("end", self, result)

    def log(self, metrics: Mapping[str, np.ndarray], *, input_seconds: float) -> Stop | None:
        """Writes a row of training metrics.

        Args:
          metrics: metric sums since the last row.
          input_seconds: seconds since the last row in which the devices waited for input.
        """
        now = time.monotonic()
        images = (self.step - self._timed_from) * self.config.batch_size
        steps = float(metrics["steps"])
        row: Row = {
            "step": self.step,
            "epoch": self.epoch,
            "split": "train",
            **finite(self.experiment.task.finalize(metrics)),
            "learning_rate": float(self.experiment.schedule(self.step - 1, self.hparams)),
            "grad_norm": float(metrics["grad_norm"]) / steps,
            "param_norm": float(metrics["param_norm"]) / steps,
            "images_per_second": round(images / (now - self._timer), 1),
            "input_wait": round(min(input_seconds / (now - self._timer), 1.0), 4),
        }
        self._timed_from, self._timer = self.step, now
        return self._callbacks.ask("log", self, row)

    def evaluation(
        self, sums: Mapping[str, np.ndarray], variables: Callable[[], PyTree]
    ) -> tuple[float, Stop | None]:
        """Writes a row of evaluation; returns the metric that picks the best, and a `Stop` or None.

        Args:
          sums: metric sums over the split.
          variables: returns the evaluated weights, on one device.
        """
        metrics = self.experiment.task.finalize(sums)
        metric, best = metrics[self.metric], self.best_metric
        better = best is None or (metric > best if self.mode == "max" else metric < best)
        if better and math.isfinite(metric):
            self.best_metric, self.best_step = metric, self.step
        row = {"step": self.step, "epoch": self.epoch, "split": self.split, **finite(metrics)}
        self._variables = variables
        return metric, self._callbacks.ask("evaluation", self, row)

    def not_training(self, seconds: float) -> None:
        """Excludes `seconds`, spent on an evaluation, from the throughput of the next row."""
        self._timer += seconds

    def saved(self) -> None:
        """Calls `on_checkpoint` of the callbacks."""
        self._callbacks.call("checkpoint", self, self.step)

    def result(
        self, sums: Mapping[str, np.ndarray], checkpoint_step: int, params: PyTree
    ) -> dict[str, Any]:
        """Writes and returns the result of the run, after its row.

        A run with a result is complete and never started again, so the row comes first.

        Args:
          sums: metric sums over the test split.
          checkpoint_step: step of the evaluated weights.
          params: parameters of the network.
        """
        result = {
            "test": finite(self.experiment.task.finalize(sums)),
            "checkpoint_step": checkpoint_step,
            "steps": self.step,
            "num_parameters": num_parameters(params),
            "seconds": round(self._seconds, 1),
        }
        if hosts.is_first():
            if "confusion" in sums:
                self._folder.write_array(self._folder.confusion, sums["confusion"])
                if at_chance(np.asarray(sums["confusion"])):
                    self.note(self._learned_nothing(result["test"]["accuracy"]))
            row = {"step": self.step, "epoch": self.epoch, "split": "test", **result["test"]}
            self._callbacks.call("test", self, row)
            self._folder.write("result.json", result)
        return result

    def _learned_nothing(self, accuracy: float) -> str:
        return (
            f"warning: a test accuracy of {100 * accuracy:.2f} % is no better than one answer for "
            f"all: the network has learned nothing. Try another optimizer.learning_rate (now "
            f"{self.hparams['optimizer.learning_rate']:g}), or train longer."
        )


def _as_given(value: Any) -> Any:
    """Restores a scalar or a pair from JSON, which stores pairs as lists."""
    return tuple(value) if isinstance(value, list) else value
