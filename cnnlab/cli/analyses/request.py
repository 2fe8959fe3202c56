"""Request and result of an analysis."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.evaluation.predictions import spread_numbers, spread_over
from cnnlab.data import Dataset, Source
from cnnlab.data.geometry.image_source import read_for
from cnnlab.errors import UserError, did_you_mean
from cnnlab.inference.run import Run, TrainedRun, run_data
from cnnlab.visible import visible

_WORDS = {
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "pca": "PCA",
    "tsne": "t-SNE",
}


@dataclasses.dataclass(frozen=True)
class Request:
    """The request of a user.

    Attributes:
      kind: kind of analysis.
      run: the run with its weights.
      paths: paths of image files; if empty, images of the split are used.
      split: split of the run's data.
      examples: number of examples of the split; None uses the kind's default.
      layer: name of the layer to analyse, for kinds that analyse one.
      target: name of the class to explain; None uses the predicted one.
      max_shift: largest shift in pixels.
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
        return visible(f"{config.model.name} on {config.data.name}: {kind}")

    @property
    def network(self) -> TrainedRun:
        """The run; raises a `UserError` for a baseline, which has no layers."""
        if not isinstance(self.run, TrainedRun):
            raise UserError(
                f"'{self.run.config.model.name}' is a classical baseline, but {self.kind} needs "
                "a network."
            )
        return self.run

    @functools.cached_property
    def data(self) -> Dataset:
        """The data of the run."""
        return run_data(self.run)

    def source(self, default: int | None = None, *, split: str | None = None) -> Source:
        """Returns examples that are spread evenly over a split."""
        splits, split = self.data.splits, split or self.split
        if split not in splits:
            name = self.run.config.data.name
            raise UserError(
                f"--split='{split}': {name} has no such split.{did_you_mean(split, splits)}"
            )
        return spread_over(splits[split], self.examples or default)

    def names(self, numbers: Iterable[int]) -> list[str]:
        """Paths of examples of `source()`, below the data's folder; of other data their numbers."""
        chosen = spread_numbers(len(self.data.splits[self.split]), self.examples)
        places = [int(chosen[number]) for number in numbers]
        paths = (self.data.paths or {}).get(self.split)
        return [paths[place] if paths else str(place) for place in places]

    def not_multilabel(self) -> None:
        """Raises a `UserError` for a run of multilabel."""
        if self.run.config.task == "multilabel":
            raise UserError(
                f"{self.kind} needs one class for each image, and this is a multilabel run: use "
                "eval, which prints precision, recall and F1 of each class."
            )

    def only_classification(self) -> None:
        """Raises a `UserError` for a run of segmentation."""
        if self.run.config.task != "classification":
            raise UserError(
                f"{self.kind} is for classification, where an image has one class, and this run is "
                f"of {self.run.config.task}."
            )

    def images(self, default: int) -> np.ndarray:
        """Returns pixels [batch, height, width, channels] of the files, or of the split."""
        if self.paths:
            info = self.run.info
            images = [read_for(info, path) for path in self.paths]
            return np.stack(images)
        source = self.source(default)
        return np.stack([source[number]["image"] for number in range(len(source))])


class AnalysisResult(NamedTuple):
    """The result of an analysis.

    Attributes:
      picture: a figure, or pixels uint8 [height, width, 3].
      arrays: the arrays that it shows, by name.
      numbers: further results to print, as JSON values.
    """

    picture: Figure | np.ndarray
    arrays: dict[str, np.ndarray]
    numbers: dict[str, Any]


def normalised(run: TrainedRun, images: np.ndarray) -> jax.Array:
    return run.experiment.normalize()({"image": images})["image"]
