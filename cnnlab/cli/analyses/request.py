"""What `launch.py analyze` is asked for, and what an analysis gives."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.predictions import spread_over
from cnnlab.data import Source
from cnnlab.data.image import read_image
from cnnlab.errors import UserError, did_you_mean
from cnnlab.train.restore import Run, TrainedRun
from cnnlab.train.setup import load_data

_WORDS = {
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "pca": "PCA",
    "tsne": "t-SNE",
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
      kind: of analysis.
      run: with its weights.
      paths: of image files; none takes images of the split.
      split: of the run's data.
      examples: how many of it; None takes what suits the kind.
      layer: by name, where the kind looks at one.
      target: name of the class to explain; None takes the predicted one.
      max_shift: in pixels.
    """

    kind: str
    run: Run
    paths: list[str]
    split: str
    examples: int | None
    layer: str | None
    target: str | None
    max_shift: int

    @property
    def title(self) -> str:
        config = self.run.config
        kind = _WORDS.get(self.kind, self.kind.replace("_", " "))
        return f"{config.model.name} on {config.data.name}: {kind}"

    @property
    def network(self) -> TrainedRun:
        """The run; raises a `UserError` where it is that of a baseline, which has no layers."""
        if not isinstance(self.run, TrainedRun):
            raise UserError(
                f"'{self.run.config.model.name}' is a classical baseline, and {self.kind} looks "
                "into a network."
            )
        return self.run

    def source(self, default: int | None = None, *, split: str | None = None) -> Source:
        """Examples of a split, spread over it."""
        splits, split = load_data(self.run.config).splits, split or self.split
        if split not in splits:
            name = self.run.config.data.name
            raise UserError(
                f"--split='{split}': {name} has no such split.{did_you_mean(split, splits)}"
            )
        return spread_over(splits[split], self.examples or default)

    def only_classification(self) -> None:
        """Raises a `UserError` for a run of segmentation."""
        if self.run.config.task != "classification":
            raise UserError(
                f"{self.kind} is for classification, where an image has one class, and this run is "
                f"of {self.run.config.task}."
            )

    def images(self, default: int) -> np.ndarray:
        """uint8 [batch, height, width, channels]: the files, or else examples of the split."""
        if self.paths:
            shape = self.run.info.image_shape
            return np.stack([read_image(path, shape) for path in self.paths])
        source = self.source(default)
        return np.stack([source[number]["image"] for number in range(len(source))])


class Outcome(NamedTuple):
    """What an analysis gives.

    Attributes:
      picture: a figure, or pixels uint8 [height, width, 3].
      arrays: what it was drawn from, by name.
      numbers: to be told, as JSON values.
    """

    picture: Figure | np.ndarray
    arrays: dict[str, np.ndarray]
    numbers: dict[str, Any]


def normalised(run: TrainedRun, images: np.ndarray) -> jax.Array:
    return run.setup.normalize()({"image": images})["image"]
