"""Metrics of predicted classes: balanced accuracy, precision, recall and F1.

They are scikit-learn's with `average="macro"` over the classes that occur in the labels or the
predictions (balanced accuracy: in the labels) and `zero_division=0`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.arrays import Batch, Sums
from cnnlab.registry import register_metric

THRESHOLD = 0.5


class _Counts:
    """Counts of each class: true positives, labels and predictions.

    For single labels the most probable class is predicted, for multi-hot labels every class with a
    probability above 0.5.
    """

    group = "decisions"

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    def sums(self, logits: jax.Array, batch: Batch) -> Sums:
        """int32 [num_classes] each: `hits`, `true` and `predicted`."""
        del logits
        truth, predicted = decided(batch, self.num_classes)
        count = batch["mask"].astype(jnp.int32)[:, None]
        return {
            "hits": (truth * predicted * count).sum(0),
            "true": (truth * count).sum(0),
            "predicted": (predicted * count).sum(0),
        }

    def finalize(self, sums: Mapping[str, Any]) -> float:
        """Returns the mean over the classes that occur; NaN if none does."""
        values = self.per_class(sums)
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

    def per_class(self, sums: Mapping[str, Any]) -> np.ndarray:
        """The value of each class, [num_classes]; NaN where it does not occur."""
        raise NotImplementedError


@register_metric("recall", task="classification")
@register_metric("recall", task="multilabel")
class Recall(_Counts):
    """Share of a class's examples that are predicted as such."""

    def per_class(self, sums: Mapping[str, Any]) -> np.ndarray:
        return _ratio(sums["hits"], sums["true"], _occurs(sums))


@register_metric("precision", task="classification")
@register_metric("precision", task="multilabel")
class Precision(_Counts):
    """Share of the predictions of a class that are correct."""

    def per_class(self, sums: Mapping[str, Any]) -> np.ndarray:
        return _ratio(sums["hits"], sums["predicted"], _occurs(sums))


@register_metric("f1", task="classification")
@register_metric("f1", task="multilabel")
class F1(_Counts):
    """Harmonic mean of precision and recall, computed per class and averaged over classes."""

    def per_class(self, sums: Mapping[str, Any]) -> np.ndarray:
        whole = np.asarray(sums["true"]) + np.asarray(sums["predicted"])
        return _ratio(2 * np.asarray(sums["hits"]), whole, _occurs(sums))


@register_metric("balanced_accuracy", task="classification")
class BalancedAccuracy(_Counts):
    """Mean recall over the classes that occur in the labels (Brodersen et al. 2010)."""

    def per_class(self, sums: Mapping[str, Any]) -> np.ndarray:
        return _ratio(sums["hits"], sums["true"], np.asarray(sums["true"]) > 0)


def decided(batch: Batch, num_classes: int) -> tuple[jax.Array, jax.Array]:
    """Labels and predictions as 0 and 1, int32 [batch, num_classes] each."""
    label, probabilities = batch["label"], batch["probabilities"]
    if label.ndim == 2:
        return label.astype(jnp.int32), (probabilities > THRESHOLD).astype(jnp.int32)
    truth = jax.nn.one_hot(label, num_classes, dtype=jnp.int32)
    return truth, jax.nn.one_hot(probabilities.argmax(-1), num_classes, dtype=jnp.int32)


def _occurs(sums: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(sums["true"]) + np.asarray(sums["predicted"]) > 0


def _ratio(part: Any, whole: Any, counted: np.ndarray) -> np.ndarray:
    """Part / whole, 0 for 0 / 0, and NaN where a class is not counted."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.where(counted, part / np.maximum(whole, 1), np.nan)
