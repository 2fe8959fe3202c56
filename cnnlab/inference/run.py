"""A trained run: its network, weights and data description."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import flax.linen as nn
import jax
import numpy as np

from cnnlab.arrays import Batch, PyTree
from cnnlab.config import Config
from cnnlab.data import Dataset, DatasetInfo, DatasetRecord, Source
from cnnlab.data.describe import describe
from cnnlab.data.reconcile import match_record
from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import as_network
from cnnlab.nn.cpu_kernels.compiler import compiler_options
from cnnlab.notebook import Shown
from cnnlab.tasks import Multilabel, Segmentation, Task, per_class_accuracy
from cnnlab.tasks.metrics.registered import values_per_class
from cnnlab.train.callbacks.json_lines import finite, warn
from cnnlab.train.checkpoints.writer import CheckpointReader
from cnnlab.train.evaluation import evaluate
from cnnlab.train.experiment import Experiment, build_experiment
from cnnlab.train.run_data import load_data
from cnnlab.train.runtime.devices import Parallel, make_parallel
from cnnlab.train.runtime.workdir import Workdir
from cnnlab.train.state import Optimizer, num_parameters


class Run(Protocol):
    """The interface of trained runs, of networks and baselines, for evaluation and prediction."""

    @property
    def config(self) -> Config: ...

    @property
    def info(self) -> DatasetInfo: ...

    @property
    def task(self) -> Task: ...

    @property
    def data(self) -> DatasetRecord: ...

    @property
    def step(self) -> int: ...

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Maps uint8 images [batch, height, width, channels] to probabilities [batch, classes].

        Of segmentation: [batch, height, width, classes], for images of any one size.
        """

    def sums(self, source: Source) -> dict[str, np.ndarray]:
        """Metric sums over all examples of a source."""


def run_rows(run: Run) -> dict[str, Any]:
    """What a notebook shows of a run."""
    info, config = run.info, run.config
    return {
        "model": config.model.name,
        "data": config.data.name,
        "task": config.task,
        "images": " x ".join(map(str, info.image_shape)),
        "classes": info.num_classes,
        **{f"{split} images": f"{count:,}" for split, count in info.num_examples.items()},
        "step": f"{run.step:,}",
        "seed": config.seed,
    }


@dataclasses.dataclass(frozen=True, repr=False)
class TrainedRun(Shown):
    """A run's network with its weights.

    Attributes:
      experiment: config, data description, network, task.
      variables: variables for `experiment.model.apply`; averaged weights if the run keeps them.
      step: number of updates at the checkpoint.
      data: the run's data description.
      dataset: the data set, if it was passed as an object.
    """

    experiment: Experiment
    variables: PyTree
    step: int
    data: DatasetRecord
    dataset: Dataset | None = None

    @property
    def config(self) -> Config:
        return self.experiment.config

    @property
    def info(self) -> DatasetInfo:
        return self.experiment.info

    @property
    def task(self) -> Task:
        return self.experiment.task

    def _summary(self) -> str:
        count = num_parameters(self.variables["params"])
        name = f"{self.config.model.name} on {self.config.data.name}"
        return f"{name}, step {self.step:,}, {count:,} parameters"

    def _rows(self) -> dict[str, Any]:
        return run_rows(self) | {"parameters": f"{num_parameters(self.variables['params']):,}"}

    @property
    def stride(self) -> int:
        """Largest stride of the network."""
        return max(as_network(self.experiment.model, "The stride").backbone.strides)

    @property
    def border(self) -> int:
        """Pixels on each side that a network without padding does not predict."""
        return getattr(self.experiment.model, "border", 0)

    def input_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Height and width of images whose predictions are at least as large as `size`."""
        if not self.border:
            return tuple(size)
        least, stride = self.experiment.model.min_size, self.stride
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
        return parallel, parallel.compile_eval(self.experiment.eval_step())

    @functools.cached_property
    def _predict(self) -> Callable[[PyTree, jax.Array], jax.Array]:
        return jax.jit(self.experiment.predict(), compiler_options=compiler_options())


def load_run(
    workdir: str | Path,
    checkpoint: str | int = "best",
    *,
    model: nn.Module | None = None,
    dataset: Dataset | None = None,
    task: Task | None = None,
    tx: Optimizer | None = None,
    augment: Callable[..., Batch] | None = None,
    report: Callable[[str], None] = warn,
) -> TrainedRun:
    """Loads a run's weights without changing its folder.

    Args:
      workdir: the run's folder.
      checkpoint: `best`, `latest` or a step.
      model: the network, if it was passed to `fit` as an object.
      dataset: the data set, if it was passed as an object; needed only to read the run's data.
      task: the task, if it was passed as an object.
      tx: the optimizer, if it was passed as an object; its state is part of checkpoints.
      augment: the augmentation, if it was passed as an object.
      report: called with a sentence for each damaged checkpoint that is skipped; by default
        prints it to standard error.

    Raises:
      UserError: there is no run or no such checkpoint, all checkpoints are damaged, or an object
        that was passed to `fit` is missing.
    """
    folder = Workdir(workdir)
    config = folder.config()
    record = folder.dataset_record()
    experiment = build_experiment(
        config, record.info, model=model, task=task, tx=tx, augment=augment
    )
    if isinstance(checkpoint, str) and checkpoint.isdigit():
        checkpoint = int(checkpoint)
    if checkpoint not in ("best", "latest") and not isinstance(checkpoint, int):
        raise UserError(f"checkpoint='{checkpoint}' must be best, latest or a step.")
    shapes = {"state": experiment.abstract_state(), "metrics": experiment.zero_metrics()}
    target = make_parallel("jit", 1).abstract(shapes)
    step, carry, _ = CheckpointReader(folder.path, report=report).restore(target, checkpoint)
    return TrainedRun(experiment, carry["state"].variables, step, record, dataset)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def run_data(run: Run, *, report: Callable[[str], None] = _tell) -> Dataset:
    """Loads the data of a run: the same examples, image shape and labels as when it started.

    Args:
      run: a network or a baseline.
      report: receives lines that say how the data were understood; by default on standard error.

    Raises:
      UserError: the data cannot be read, or have changed and no longer match the run's.
    """
    given = run.dataset if isinstance(run, TrainedRun) else None
    dataset = match_record(given, run.data) if given else load_data(run.config, run.data)
    for line in describe(dataset):
        report(line)
    return dataset


def evaluate_run(
    run: Run, split: str = "test", *, report: Callable[[str], None] = _tell
) -> dict[str, Any]:
    """Computes the metrics of a trained run on one split of its data set, as JSON values.

    Classification adds `per_class_accuracy` by class name, and `per_class_METRIC` for each of
    `evaluation.metrics` with values per class. Segmentation adds `per_class`: a dict of `iou`,
    `dice`, `accuracy`, `precision`, `boundary_f1` and `pixels` by class name. For multilabel,
    `per_class` has `positives`, `precision`, `recall`, `f1` and those of `evaluation.metrics`.

    Args:
      run: a network or a baseline.
      split: `train`, `validation` or `test`.
      report: receives lines that say how the data were understood; by default on standard error.

    Raises:
      UserError: the data set has no such split, or no longer matches the run's.
    """
    return evaluate_dataset(run, run_data(run, report=report), split)


def evaluate_dataset(run: Run, dataset: Dataset, split: str) -> dict[str, Any]:
    """Computes the metrics of a run on one split of a data set in its labels; see `evaluate_run`.

    >>> evaluate_dataset(run, other_data(run, "folder:elsewhere"), "all")
    """
    if split not in dataset.splits:
        raise UserError(
            f"split='{split}': {dataset.info.name} has no such split."
            + did_you_mean(split, dataset.splits)
        )
    sums = run.sums(dataset.splits[split])
    numbers = {
        "split": split,
        "checkpoint_step": run.step,
        "num_examples": len(dataset.splits[split]),
        **finite(run.task.finalize(sums)),
    }
    names = dataset.info.class_names
    if isinstance(run.task, Segmentation):
        rows = map(finite, run.task.per_class(sums))
        return numbers | {"per_class": dict(zip(names, rows, strict=True))}
    if isinstance(run.task, Multilabel):
        columns = run.task.per_class(sums)
        rows = [
            finite({name: values[index] for name, values in columns.items()})
            for index in range(len(names))
        ]
        return numbers | {"per_class": dict(zip(names, rows, strict=True))}
    per_class = per_class_accuracy(sums["confusion"]).tolist()
    numbers["per_class_accuracy"] = finite(dict(zip(names, per_class, strict=True)))
    extra = values_per_class(run.task.extra_metrics, sums)
    return numbers | {
        f"per_class_{name}": finite(dict(zip(names, values, strict=True)))
        for name, values in extra.items()
    }
