"""A fitted baseline as functions; the counterpart of `cnnlab.train.restore`."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.classical.hog import Hog
from cnnlab.classical.linear import Linear
from cnnlab.classical.options import make_options
from cnnlab.config import Config
from cnnlab.data import DatasetInfo, Source
from cnnlab.errors import UserError
from cnnlab.tasks import Classification
from cnnlab.train.workdir import Workdir

WEIGHTS = "weights.npz"


@dataclasses.dataclass(frozen=True)
class ClassicalRun:
    """A fitted baseline; has what `cnnlab.train.evaluate_run` asks of a run.

    Attributes:
      config: of the run.
      info: what it knows of its data.
      hog: the features.
      linear: the classifier.
    """

    config: Config
    info: DatasetInfo
    hog: Hog
    linear: Linear

    @property
    def task(self) -> Classification:
        return Classification(self.info.num_classes)

    @property
    def step(self) -> int:
        """Iterations of the solver."""
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
    """Metric sums of a classifier over batches of features and labels; the networks' own sums."""
    eval_sums = jax.jit(task.eval_sums)
    total: dict[str, np.ndarray] = {}
    for features, labels in batches:
        batch = {"label": jnp.asarray(labels), "mask": jnp.ones(len(labels))}
        sums = jax.device_get(eval_sums(jnp.asarray(linear.logits(features)), batch))
        for name, value in sums.items():
            # Float64, as in cnnlab.train.evaluate: a float32 sum of a large set loses digits.
            wide = np.asarray(value, np.float64 if value.dtype.kind == "f" else np.int64)
            total[name] = total[name] + wide if name in total else wide
    return total


def load_run(workdir: str | Path, checkpoint: str | int = "best") -> ClassicalRun:
    """Loads the weights of a run; nothing in its folder is changed.

    Args:
      workdir: the run's folder.
      checkpoint: `best` or `latest`, which are the same here, or the step of the fit.

    Raises:
      UserError: no run, no such checkpoint, or damaged weights.
    """
    folder = Workdir(workdir)
    config, info = folder.config(), folder.dataset_info()
    hog = make_options(config).hog
    shape = (hog.length(info.image_shape), info.num_classes)
    linear = Linear.load(folder.path / WEIGHTS, shape)
    if str(checkpoint) not in ("best", "latest", str(linear.step)):
        raise UserError(
            f"--checkpoint='{checkpoint}' must be best, latest or {linear.step}: a "
            f"'{config.model.name}' run has the weights of its fit alone."
        )
    return ClassicalRun(config, info, hog, linear)
