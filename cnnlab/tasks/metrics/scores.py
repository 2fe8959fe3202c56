"""Metrics of probabilities, equal to scikit-learn's: AUROC, average precision, Brier score.

AUROC and average precision rank all examples exactly, with ties: the scores of all batches are kept
and ranked at the end.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.arrays import Batch, Sums
from cnnlab.registry import register_metric


class _Ranked:
    """A one-versus-rest metric of each class's scores, and its mean over classes."""

    group = "scores"

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    def rows(self, logits: jax.Array, batch: Batch) -> Sums:
        """`probabilities` [batch, num_classes] and `label`."""
        del logits
        return {"probabilities": batch["probabilities"], "label": batch["label"]}

    def finalize(self, rows: Mapping[str, np.ndarray]) -> float:
        """Returns the mean over the classes that can be ranked; NaN if there are none."""
        values = self.per_class(rows)
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

    def per_class(self, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        """The value of each class, [num_classes]; NaN where it cannot be ranked."""
        scores = np.asarray(rows["probabilities"], np.float64)
        label = np.asarray(rows["label"])
        truth = label if label.ndim == 2 else label[:, None] == np.arange(self.num_classes)
        return np.array([self._of_class(truth[:, c] > 0, scores[:, c])
                         for c in range(self.num_classes)])  # fmt: skip

    def _of_class(self, truth: np.ndarray, scores: np.ndarray) -> float:
        raise NotImplementedError


@register_metric("auroc", task="classification")
@register_metric("auroc", task="multilabel")
class AUROC(_Ranked):
    """Area under the ROC curve, one-versus-rest, macro-averaged over the classes.

    Classes that all or no examples belong to have no curve and are left out of the mean. With two
    classes and single labels, both areas are equal.

    References:
      Hand & Till 2001, without their averaging over pairs; `roc_auc_score(average="macro",
      multi_class="ovr")`.
    """

    def _of_class(self, truth: np.ndarray, scores: np.ndarray) -> float:
        # Here, because scikit-learn's metrics take a second to import and few runs need them.
        from sklearn.metrics import roc_auc_score

        return roc_auc_score(truth, scores) if truth.any() and not truth.all() else float("nan")


@register_metric("average_precision", task="classification")
@register_metric("average_precision", task="multilabel")
class AveragePrecision(_Ranked):
    """Average precision, one-versus-rest, without interpolation, macro-averaged over the classes.

    For multi-label data this is the mean average precision (mAP). Classes without examples are
    left out of the mean.
    """

    def _of_class(self, truth: np.ndarray, scores: np.ndarray) -> float:
        from sklearn.metrics import average_precision_score  # as in AUROC

        return average_precision_score(truth, scores) if truth.any() else float("nan")


@register_metric("brier", task="classification", mode="min")
@register_metric("brier", task="multilabel", mode="min")
class Brier:
    """Mean squared difference of probabilities and labels (Brier 1950).

    Single labels: summed over the classes, 0 to 2; halved for two classes, 0 to 1, as scikit-learn
    does. Multi-hot labels: the mean over the classes, 0 to 1.
    """

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    def sums(self, logits: jax.Array, batch: Batch) -> Sums:
        """`squares` of all examples and their `count`."""
        del logits
        label, p = batch["label"], batch["probabilities"]
        if label.ndim == 2:
            squares = jnp.square(p - label).mean(-1)
        else:
            squares = jnp.square(p - jax.nn.one_hot(label, self.num_classes)).sum(-1)
            squares = squares / 2 if self.num_classes == 2 else squares
        mask = batch["mask"]
        return {"squares": (squares * mask).sum(), "count": mask.sum()}

    def finalize(self, sums: Mapping[str, Any]) -> float:
        return float(sums["squares"]) / max(float(sums["count"]), 1.0)
