"""Semantic segmentation: loss per example, metric sums, and metrics from the sums."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.arrays import Batch, HParams, Sums
from cnnlab.config.options import keyword_options
from cnnlab.errors import UserError
from cnnlab.registry import LOSSES
from cnnlab.tasks.losses import IGNORE, check_class_weights, check_losses
from cnnlab.tasks.metrics.boundary import boundary_counts
from cnnlab.tasks.metrics.registered import Metric, metric_modes, metric_sums, metric_values

# Which direction is better, for every metric that may pick the best checkpoint.
METRICS = {
    "accuracy": "max",
    "miou": "max",
    "mean_dice": "max",
    "mean_class_accuracy": "max",
    "boundary_f1": "max",
    "loss": "min",
}


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """Semantic segmentation: one label per pixel.

    A batch has `label`, integers [batch, height, width], of which `IGNORE` is ignored, and `mask`
    [batch]. Logits are [batch, height, width, num_logits]. If they are smaller than the labels,
    they belong to the center of the image (a U-Net without padding).

    Attributes:
      num_classes: number of classes.
      losses: weight of each loss, by name; those of weight 0 are skipped.
      options: options of each loss, by the loss's name, e.g. `{"focal": {"gamma": 3.0}}`.
      class_weights: factor of each class in every loss whose options set none.
      label_smoothing: share of the target of the cross-entropy that is spread evenly over the
        classes, in [0, 1); in training only.
      binary: whether one logit stands for class 1 against class 0.
      boundary_tolerance: largest error of a predicted boundary in pixels, for `boundary_f1`.
      extra_metrics: further metrics to evaluate, by name.

    Raises:
      UserError: an unknown loss or option, an impossible value, or no loss at all.
    """

    num_classes: int
    losses: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"cross_entropy": 1.0})
    options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    class_weights: Sequence[float] | None = None
    label_smoothing: float = 0.0
    binary: bool = False
    boundary_tolerance: int = 2

    extra_metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.binary and self.num_classes != 2:
            raise UserError(
                f"A binary loss needs two classes, but there are {self.num_classes}: leave binary "
                "off."
            )
        if not 0 <= self.label_smoothing < 1:
            raise UserError(
                f"label_smoothing={self.label_smoothing} must be at least 0 and below 1."
            )
        if self.boundary_tolerance < 0:
            raise UserError(f"boundary_tolerance={self.boundary_tolerance} must not be negative.")
        if self.label_smoothing and not self.losses.get("cross_entropy"):
            raise UserError(
                f"label_smoothing={self.label_smoothing} needs the loss 'cross_entropy', which has "
                "no weight: set one, or leave label_smoothing out."
            )
        check_losses(self.losses, self.options, self.num_classes)
        check_class_weights(self.class_weights, self.num_classes)

    @property
    def metrics(self) -> dict[str, str]:
        """Maps each metric that can pick the best checkpoint to `max` or `min`."""
        return METRICS | metric_modes(self.extra_metrics, task="segmentation")

    @property
    def num_logits(self) -> int:
        """Number of logits that the network must return per pixel."""
        return 1 if self.binary else self.num_classes

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """Probability of each class, [batch, height, width, num_classes], in [0, 1]."""
        if self.binary:
            return jnp.concatenate([jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits)], axis=-1)
        return jax.nn.softmax(logits)

    def predict(self, logits: jax.Array) -> jax.Array:
        """The most probable class of each pixel, int32 [batch, height, width]."""
        if self.binary:
            return (logits[..., 0] > 0).astype(jnp.int32)
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)

    def loss(
        self,
        logits: jax.Array,
        batch: Batch,
        *,
        train: bool = False,
        hparams: HParams | None = None,
    ) -> jax.Array:
        """Weighted sum of the losses of each example, [batch].

        `batch["weight"]` [batch, height, width], if present, weights the loss `boundary`.
        `hparams["loss.label_smoothing"]` replaces `label_smoothing`.
        """
        smoothing = (hparams or {}).get("loss.label_smoothing", self.label_smoothing)
        space = logits.shape[1:-1]
        labels = center_crop(batch["label"], space)
        total = jnp.zeros(labels.shape[0])
        for name, weight in self.losses.items():
            if not weight:
                continue
            function = LOSSES.get(name, task="segmentation")
            arguments = dict(self.options.get(name, {}))
            if "class_weights" in keyword_options(function):
                arguments.setdefault("class_weights", self.class_weights)
            if name == "cross_entropy" and train:
                arguments["label_smoothing"] = smoothing
            if name == "boundary" and "weight" in batch:
                arguments["weight"] = center_crop(batch["weight"], space)
            total += weight * function(logits, labels, **arguments)
        return total

    def train_sums(self, logits: jax.Array, losses: jax.Array, batch: Batch) -> Sums:
        """Returns the sums over the batch that training reports."""
        labels, valid = self._truth(logits, batch)
        mask = batch["mask"]
        # Floats: pixels of many steps are more than 2**31, and a float32 sum is near enough here.
        return {
            "loss": (losses * mask).sum(),
            "correct": ((self.predict(logits) == labels) & valid).sum(dtype=jnp.float32),
            "pixels": valid.sum(dtype=jnp.float32),
            "count": mask.sum(),
        }

    def eval_sums(self, logits: jax.Array, batch: Batch) -> Sums:
        """Returns sums over the batch; those of several batches are added before `finalize`.

        `confusion` [num_classes, num_classes] counts in row i, column j the pixels of class i that
        are predicted as class j; `boundary` [num_classes, 4] is `boundary_counts`. Both are
        int32, exact for batches of fewer than 2**31 pixels.
        """
        labels, valid = self._truth(logits, batch)
        predicted = self.predict(logits)
        mask = batch["mask"]
        shape = (self.num_classes, self.num_classes)
        return {
            "loss": (self.loss(logits, batch) * mask).sum(),
            "count": mask.sum(),
            "pixels": valid.sum(dtype=jnp.int32),
            "confusion": (
                jnp.zeros(shape, jnp.int32).at[labels, predicted].add(valid.astype(jnp.int32))
            ),
            "boundary": boundary_counts(
                predicted,
                labels,
                valid,
                num_classes=self.num_classes,
                tolerance=self.boundary_tolerance,
            ),
        } | self._extra_sums(logits, batch)

    def _extra_sums(self, logits: jax.Array, batch: Batch) -> Sums:
        if not self.extra_metrics:
            return {}
        batch = {**batch, "probabilities": self.probabilities(logits)}
        return metric_sums(self.extra_metrics, logits, batch)

    def finalize(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Returns metrics from the sums: means over examples, pixels, or classes that occur.

        Classes that are neither in the labels nor in the predictions are left out of the means;
        `mean_class_accuracy` averages over the classes of the labels.
        """
        count = max(float(sums["count"]), 1.0)
        numbers = {"loss": float(sums["loss"]) / count}
        pixels = max(float(sums["pixels"]), 1.0)
        if "confusion" not in sums:
            return numbers | {"accuracy": float(sums["correct"]) / pixels}
        rows = self.per_class(sums)
        return numbers | {
            "accuracy": float(np.trace(np.asarray(sums["confusion"]))) / pixels,
            "miou": _mean(row["iou"] for row in rows),
            "mean_dice": _mean(row["dice"] for row in rows),
            "mean_class_accuracy": _mean(row["accuracy"] for row in rows),
            "boundary_f1": _mean(row["boundary_f1"] for row in rows),
            **metric_values(self.extra_metrics, sums),
        }

    def per_class(self, sums: Mapping[str, Any]) -> list[dict[str, float]]:
        """Returns the values of each class from the sums of an evaluation.

        `iou`, `dice`, `accuracy` (the class's recall), `precision` and `boundary_f1`, each NaN
        where it would be 0 / 0, and the number of labelled `pixels`.
        """
        edge, edge_hits, true_edge, true_edge_hits = np.asarray(sums["boundary"], np.int64).T
        # 2 P R / (P + R), with P = edge_hits / edge and R likewise, multiplied out: 0 if one of P
        # and R does not exist, 0 / 0 if neither does.
        harmonic = edge_hits * true_edge + true_edge_hits * edge
        columns = {
            **overlap_scores(sums["confusion"]),
            "boundary_f1": np.where(
                (edge > 0) | (true_edge > 0),
                2.0 * edge_hits * true_edge_hits / np.maximum(harmonic, 1),
                np.nan,
            ),
            "pixels": np.asarray(sums["confusion"], np.int64).sum(axis=1),
        }
        return [
            {name: column[index].item() for name, column in columns.items()}
            for index in range(self.num_classes)
        ]

    def _truth(self, logits: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """Labels cropped to the logits, int32, 0 where ignored; and a mask of valid pixels."""
        labels = center_crop(batch["label"], logits.shape[1:-1]).astype(jnp.int32)
        real = batch["mask"].reshape(-1, *[1] * (labels.ndim - 1)) > 0
        valid = (labels != IGNORE) & real
        return jnp.where(valid, labels, 0), valid


def overlap_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """`iou`, `dice`, `accuracy` and `precision` of each class, [num_classes]; NaN for 0 / 0.

    Args:
      confusion: number of pixels of class i that are predicted as class j, [num_classes,
        num_classes].
    """
    confusion = np.asarray(confusion, np.int64)
    hits, true, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "iou": _ratio(hits, true + predicted - hits),
        "dice": _ratio(2 * hits, true + predicted),
        "accuracy": _ratio(hits, true),
        "precision": _ratio(hits, predicted),
    }


def center_crop(maps: jax.Array, space: Sequence[int]) -> jax.Array:
    """Crops maps [batch, height, width] to their center, [batch, *space].

    If a margin is odd, the right or lower one is a pixel wider.
    """
    margins = [size - wanted for size, wanted in zip(maps.shape[1:], space, strict=True)]
    if min(margins) < 0:
        raise ValueError(f"Maps of shape {maps.shape} are smaller than {tuple(space)}.")
    starts = [margin // 2 for margin in margins]
    middle = [slice(start, start + size) for start, size in zip(starts, space, strict=True)]
    return maps[:, *middle]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: Any) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    values = [value for value in values if not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan
