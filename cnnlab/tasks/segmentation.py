"""Semantic segmentation: losses of examples, metric sums, and the numbers they become."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.errors import UserError
from cnnlab.tasks.boundary_score import boundary_counts
from cnnlab.tasks.losses import IGNORE, LOSSES, check_class_weights, check_losses
from cnnlab.tracing import is_on, is_traced

Batch = Mapping[str, jax.Array]
Sums = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """A weighted sum of losses over labels of pixels.

    A batch has `label`, integers [batch, height, width], of which `IGNORE` counts for nothing, and
    `mask` [batch]. Logits are [batch, height, width, num_logits]. Where they are smaller than the
    labels, they stand for the middle of the image (a U-Net without padding).

    Attributes:
      num_classes: how many labels there are.
      losses: names of `LOSSES` and the weight of each; those of weight 0 are left out.
      options: of losses, by their names, e.g. `{"focal": {"gamma": 3.0}}`.
      class_weights: how much each class counts, in every loss whose options do not say otherwise.
      label_smoothing: of the cross-entropy, in training only.
      binary: one logit, of class 1 against class 0.
      boundary_tolerance: how far a predicted boundary may be off, in pixels, for `boundary_f1`.

    Raises:
      UserError: an unknown loss or option, a value that cannot be, or no loss at all.
    """

    num_classes: int
    losses: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"cross_entropy": 1.0})
    options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    class_weights: Sequence[float] | None = None
    label_smoothing: float = 0.0
    binary: bool = False
    boundary_tolerance: int = 2

    # Which direction is better, for every number that may pick the best checkpoint.
    metrics = {  # noqa: RUF012
        "accuracy": "max",
        "miou": "max",
        "mean_dice": "max",
        "mean_class_accuracy": "max",
        "boundary_f1": "max",
        "loss": "min",
    }

    def __post_init__(self) -> None:
        if self.binary and self.num_classes != 2:
            raise UserError(
                f"A binary loss takes two classes, and there are {self.num_classes}: leave binary "
                "off."
            )
        if not is_traced(self.label_smoothing) and not 0 <= self.label_smoothing < 1:
            raise UserError(
                f"label_smoothing={self.label_smoothing} must be at least 0 and below 1."
            )
        if self.boundary_tolerance < 0:
            raise UserError(f"boundary_tolerance={self.boundary_tolerance} must not be negative.")
        if is_on(self.label_smoothing) and not self.losses.get("cross_entropy"):
            raise UserError(
                f"label_smoothing={self.label_smoothing} is of the cross-entropy, which is not "
                "among the losses: leave it out, or give the loss 'cross_entropy' a weight."
            )
        check_losses(self.losses, self.options, self.num_classes)
        check_class_weights(self.class_weights, self.num_classes)

    @property
    def num_logits(self) -> int:
        """Width of the logits that a network must give."""
        return 1 if self.binary else self.num_classes

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """Probability of each class, [batch, height, width, num_classes]."""
        if self.binary:
            return jnp.concatenate([jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits)], axis=-1)
        return jax.nn.softmax(logits)

    def predict(self, logits: jax.Array) -> jax.Array:
        """The most probable class of each pixel, int32 [batch, height, width]."""
        if self.binary:
            return (logits[..., 0] > 0).astype(jnp.int32)
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)

    def loss(self, logits: jax.Array, batch: Batch, *, train: bool = False) -> jax.Array:
        """Weighted sum of the losses of each example, [batch].

        A batch with `weight` [batch, height, width] has the weights of the loss `boundary`.
        """
        space = logits.shape[1:-1]
        labels = center_crop(batch["label"], space)
        total = jnp.zeros(labels.shape[0])
        for name, weight in self.losses.items():
            if not weight:
                continue
            arguments = {"class_weights": self.class_weights, **self.options.get(name, {})}
            if name == "cross_entropy" and train:
                arguments["label_smoothing"] = self.label_smoothing
            if name == "boundary" and "weight" in batch:
                arguments["weight"] = center_crop(batch["weight"], space)
            total += weight * LOSSES[name](logits, labels, **arguments)
        return total

    def train_sums(self, logits: jax.Array, losses: jax.Array, batch: Batch) -> Sums:
        """Sums over the batch that training reports: cheap ones."""
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
        """Sums over the batch that evaluation merges: of two batches, the sums add up.

        `confusion` [num_classes, num_classes] counts in row i, column j the pixels of class i that
        were taken for class j; `boundary` [num_classes, 4] is that of `boundary_counts`. Both are
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
        }

    def finalize(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Numbers from the sums: means over examples, pixels, and classes that occur.

        A class that is neither in the truth nor in the predictions has no part in the means; that
        of `mean_class_accuracy` is over the classes of the truth.
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
        }

    def per_class(self, sums: Mapping[str, Any]) -> list[dict[str, float]]:
        """A row for each class, from the sums of an evaluation.

        `iou`, `dice`, `accuracy` (its share of pixels that were recognised, the recall),
        `precision`, `boundary_f1`, each NaN where it would be 0 / 0, and `pixels` of the truth.
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
        """Labels where there are logits, int32 and 0 where not valid; and which are valid."""
        labels = center_crop(batch["label"], logits.shape[1:-1]).astype(jnp.int32)
        real = batch["mask"].reshape(-1, *[1] * (labels.ndim - 1)) > 0
        valid = (labels != IGNORE) & real
        return jnp.where(valid, labels, 0), valid


def overlap_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """`iou`, `dice`, `accuracy` and `precision` of each class, [num_classes]; NaN for 0 / 0.

    Args:
      confusion: pixels of class i that were taken for class j, [num_classes, num_classes].
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
    """The middle of maps [batch, height, width], [batch, *space].

    Where the margin is odd, the right and the lower one are a pixel wider.
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
    """Mean of those that are not NaN; NaN where none is left."""
    values = [value for value in values if not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan
