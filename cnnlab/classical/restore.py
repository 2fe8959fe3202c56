"""Loads a fitted baseline; the counterpart of `cnnlab.inference.run`."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.classical.hog import Hog
from cnnlab.classical.linear import Linear
from cnnlab.classical.options import make_options
from cnnlab.config import Config
from cnnlab.data import DatasetInfo, DatasetRecord, Source
from cnnlab.errors import UserError
from cnnlab.inference.run import run_rows
from cnnlab.notebook import Shown
from cnnlab.tasks import Classification
from cnnlab.train.evaluation import SumsTotal
from cnnlab.train.runtime.workdir import Workdir

WEIGHTS = "weights.npz"


@dataclasses.dataclass(frozen=True, repr=False)
class ClassicalRun(Shown):
    """A fitted baseline, with the interface that `cnnlab.train.evaluate_run` needs.

    Attributes:
      config: the run's config.
      hog: computes the features.
      linear: the linear classifier.
      data: the run's data description.
    """

    config: Config
    hog: Hog
    linear: Linear
    data: DatasetRecord

    def _summary(self) -> str:
        return f"{self.config.model.name} on {self.config.data.name}, step {self.step:,}"

    def _rows(self) -> dict[str, Any]:
        return run_rows(self)

    @property
    def info(self) -> DatasetInfo:
        """The run's description of its data."""
        return self.data.info

    @property
    def task(self) -> Classification:
        return Classification(self.info.num_classes)

    @property
    def step(self) -> int:
        """Number of iterations of the solver."""
        return self.linear.step

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Maps uint8 images [batch, height, width, channels] to probabilities [batch, classes]."""
        return np.asarray(jax.nn.softmax(self.linear.logits(self.hog(images))))

    def sums(self, source: Source) -> dict[str, np.ndarray]:
        """Metric sums over all examples of a source."""
        return metric_sums(self.task, self.linear, self.hog.over(source))


def metric_sums(
    task: Classification, linear: Linear, batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Metric sums of a classifier over batches of features and labels, as for networks."""
    eval_sums = jax.jit(task.eval_sums)
    total = SumsTotal()
    for features, labels in batches:
        batch = {"label": jnp.asarray(labels), "mask": jnp.ones(len(labels))}
        total.add(jax.device_get(eval_sums(jnp.asarray(linear.logits(features)), batch)))
    return total.result()


def load_run(workdir: str | Path, checkpoint: str | int = "best") -> ClassicalRun:
    """Loads a run's weights without changing its folder.

    Args:
      workdir: the run's folder.
      checkpoint: `best` or `latest`, which are equal here, or the step of the fit.

    Raises:
      UserError: there is no run or no such checkpoint, or its weights are damaged.
    """
    folder = Workdir(workdir)
    config, record = folder.config(), folder.dataset_record()
    hog = make_options(config).hog
    shape = (hog.length(record.info.image_shape), record.info.num_classes)
    linear = Linear.load(folder.path / WEIGHTS, shape)
    if str(checkpoint) not in ("best", "latest", str(linear.step)):
        raise UserError(
            f"checkpoint='{checkpoint}' must be best, latest or {linear.step}: a "
            f"'{config.model.name}' run has the weights of its fit alone."
        )
    return ClassicalRun(config, hog, linear, record)
