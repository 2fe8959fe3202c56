"""Image classification: loss per example, metric sums, and the numbers they become."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnnlab.tracing import is_on

Batch = Mapping[str, jax.Array]
Sums = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Classification:
    """Softmax cross-entropy over single labels.

    Attributes:
      num_classes: width of the logits.
      label_smoothing: share of the target spread evenly over the classes (Szegedy et al. 2016,
        arXiv:1512.00567, sec. 7); in training only.
      top_k: a label among the `top_k` largest logits counts for the metric `top5`.
    """

    num_classes: int
    label_smoothing: float = 0.0
    top_k: int = 5

    # Which direction is better, for every number that may pick the best checkpoint.
    metrics = {  # noqa: RUF012
        "accuracy": "max",
        "top5": "max",
        "mean_class_accuracy": "max",
        "loss": "min",
    }

    @property
    def num_logits(self) -> int:
        """Width of the logits that a network must give."""
        return self.num_classes

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """Probability of each class, [batch, num_classes]."""
        return jax.nn.softmax(logits)

    def loss(self, logits: jax.Array, batch: Batch, *, train: bool = False) -> jax.Array:
        """Cross-entropy of each example, [batch], in nats.

        A batch with `target` [batch, num_classes] (mixup, cutmix) is compared with that instead of
        its labels.
        """
        target = batch.get("target")
        if target is None:
            if not (train and is_on(self.label_smoothing)):
                return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            target = jax.nn.one_hot(batch["label"], self.num_classes)
        if train and is_on(self.label_smoothing):
            target = optax.smooth_labels(target, self.label_smoothing)
        return optax.softmax_cross_entropy(logits, target)

    def train_sums(self, logits: jax.Array, losses: jax.Array, batch: Batch) -> Sums:
        """Sums over the batch that training reports: cheap ones."""
        mask = batch["mask"]
        correct = (logits.argmax(-1) == batch["label"]) * mask
        return {"loss": (losses * mask).sum(), "correct": correct.sum(), "count": mask.sum()}

    def eval_sums(self, logits: jax.Array, batch: Batch) -> Sums:
        """Sums over the batch that evaluation merges: of two batches, the sums add up.

        `confusion` [num_classes, num_classes] counts in row i, column j the examples of class i
        that were taken for class j.
        """
        mask, label = batch["mask"], batch["label"]
        sums = self.train_sums(logits, self.loss(logits, batch), batch)
        # A label's rank is the number of classes scored above it; ties count in its favour only if
        # it comes first, as argmax and a sort would have it.
        own = jnp.take_along_axis(logits, label[:, None], axis=-1)
        first = jnp.arange(self.num_classes) < label[:, None]
        rank = ((logits > own) | ((logits == own) & first)).sum(-1)
        sums["correct_top_k"] = ((rank < self.top_k) * mask).sum()
        # Integers: float32 would stop counting exactly at 2**24 examples.
        shape = (self.num_classes, self.num_classes)
        sums["confusion"] = (
            jnp.zeros(shape, jnp.int32).at[label, logits.argmax(-1)].add(mask.astype(jnp.int32))
        )
        return sums

    def finalize(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Numbers from the sums: means over examples, and over classes that occur."""
        count = max(float(sums["count"]), 1.0)
        numbers = {
            "loss": float(sums["loss"]) / count,
            "accuracy": float(sums["correct"]) / count,
        }
        if "confusion" in sums:
            numbers["top5"] = float(sums["correct_top_k"]) / count
            numbers["mean_class_accuracy"] = float(
                np.nanmean(per_class_accuracy(np.asarray(sums["confusion"])))
            )
        return numbers


def per_class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of each class's examples that were recognised, [num_classes]; NaN where it has none."""
    totals = confusion.sum(axis=1)
    return np.where(totals > 0, np.diag(confusion) / np.maximum(totals, 1), np.nan)
