"""A trained run as functions: its network, its weights, and what it knows of its data."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from cnnlab.config import Config
from cnnlab.data import DatasetInfo, Source
from cnnlab.errors import UserError, did_you_mean
from cnnlab.tasks import Segmentation, Task, per_class_accuracy
from cnnlab.train.checkpoint import CheckpointReader
from cnnlab.train.evaluate import evaluate
from cnnlab.train.parallel import Parallel, make_parallel
from cnnlab.train.records import finite
from cnnlab.train.setup import Setup, load_data, make_setup
from cnnlab.train.state import PyTree
from cnnlab.train.workdir import Workdir


class Run(Protocol):
    """What evaluation and prediction ask of a run, whether a network or a baseline made it."""

    @property
    def config(self) -> Config: ...

    @property
    def info(self) -> DatasetInfo: ...

    @property
    def task(self) -> Task: ...

    @property
    def step(self) -> int: ...

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Maps uint8 images [batch, height, width, channels] to probabilities [batch, classes].

        Of segmentation: [batch, height, width, classes], for images of any one size.
        """

    def sums(self, source: Source) -> dict[str, np.ndarray]:
        """Metric sums over all examples of a source."""


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A run's network with its weights.

    Attributes:
      setup: config, data description, network, task.
      variables: what `setup.model.apply` takes; averaged weights where the run keeps them.
      step: updates that made them.
    """

    setup: Setup
    variables: PyTree
    step: int

    @property
    def config(self) -> Config:
        return self.setup.config

    @property
    def info(self) -> DatasetInfo:
        return self.setup.info

    @property
    def task(self) -> Task:
        return self.setup.task

    @property
    def stride(self) -> int:
        """Largest stride of the network."""
        return max(self.setup.model.backbone.strides)

    @property
    def border(self) -> int:
        """Pixels on each side for which a network without padding predicts nothing."""
        return self.setup.model.border

    def input_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Height and width of images for which the predictions have at least those of `size`."""
        if not self.border:
            return tuple(size)
        least, stride = self.setup.model.min_size, self.stride
        missing = (length + 2 * self.border - least for length in size)
        return tuple(least + max(-(-more // stride), 0) * stride for more in missing)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Maps uint8 images [batch, height, width, channels] to probabilities [batch, classes].

        Of segmentation: [batch, height, width, classes], for images of any one size.

        >>> run = load_run("runs/lenet_digits")
        >>> run.probabilities(images).argmax(-1)
        """
        return np.asarray(self._predict(self.variables, images))

    def sums(self, source: Source) -> dict[str, np.ndarray]:
        """Metric sums over all examples of a source."""
        parallel, call = self._evaluation
        return evaluate(
            call,
            parallel.replicate(self.variables),
            source,
            parallel,
            batch_size=self.config.evaluation.batch_size or self.config.batch_size,
        )

    @functools.cached_property
    def _evaluation(self) -> tuple[Parallel, Any]:
        parallel = make_parallel("jit")
        return parallel, parallel.compile_eval(self.setup.eval_step())

    @functools.cached_property
    def _predict(self) -> Callable[[PyTree, jax.Array], jax.Array]:
        return jax.jit(self.setup.predict())


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def load_run(
    workdir: str | Path, checkpoint: str | int = "best", *, report: Callable[[str], None] = _warn
) -> TrainedRun:
    """Loads the weights of a run; nothing in its folder is changed.

    Args:
      workdir: the run's folder.
      checkpoint: `best`, `latest` or a step.
      report: is told of damaged checkpoints that were passed over; by default on standard error.

    Raises:
      UserError: no run, no such checkpoint, or none that is undamaged.
    """
    folder = Workdir(workdir)
    config = folder.config()
    setup = make_setup(config, folder.dataset_info())
    if isinstance(checkpoint, str) and checkpoint.isdigit():
        checkpoint = int(checkpoint)
    if checkpoint not in ("best", "latest") and not isinstance(checkpoint, int):
        raise UserError(f"--checkpoint='{checkpoint}' must be best, latest or a step.")
    shapes = {"state": setup.abstract_state(), "window": setup.zero_window()}
    target = make_parallel("jit", 1).abstract(shapes)
    step, carry, _ = CheckpointReader(folder.path, report=report).restore(target, checkpoint)
    return TrainedRun(setup, carry["state"].variables, step)


def evaluate_run(run: Run, split: str = "test") -> dict[str, Any]:
    """Metrics of a trained run on one split of its data set, as JSON values.

    With them come `per_class_accuracy` by class name or, for segmentation, `per_class`: a dict of
    `iou`, `dice`, `accuracy`, `precision`, `boundary_f1` and `pixels` by class name.

    Raises:
      UserError: the data set has no such split.
    """
    dataset = load_data(run.config)
    if split not in dataset.splits:
        raise UserError(
            f"--split='{split}': {run.config.data.name} has no such split."
            + did_you_mean(split, dataset.splits)
        )
    sums = run.sums(dataset.splits[split])
    numbers = {
        "split": split,
        "checkpoint_step": run.step,
        "num_examples": int(sums["count"]),
        **finite(run.task.finalize(sums)),
    }
    names = dataset.info.class_names
    if isinstance(run.task, Segmentation):
        rows = map(finite, run.task.per_class(sums))
        return numbers | {"per_class": dict(zip(names, rows, strict=True))}
    per_class = per_class_accuracy(sums["confusion"]).tolist()
    return numbers | {"per_class_accuracy": finite(dict(zip(names, per_class, strict=True)))}
