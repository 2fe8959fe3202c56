"""Multi-label classification: any number of classes for each image."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.arrays import Batch, HParams, Sums
from cnnlab.tasks.losses import check_class_weights, check_losses
from cnnlab.tasks.losses.images import weighted_sum
from cnnlab.tasks.metrics.decisions import F1, THRESHOLD, Precision, Recall
from cnnlab.tasks.metrics.registered import (
    Metric,
    metric_modes,
    metric_sums,
    metric_values,
    values_per_class,
)
from cnnlab.tracing import is_on

# Which direction is better, for every metric that may pick the best checkpoint.
METRICS = {"f1": "max", "subset_accuracy": "max", "label_accuracy": "max", "loss": "min"}

_F1 = F1.group


@dataclasses.dataclass(frozen=True)
class Multilabel:
    """Any number of labels per image, with a sigmoid for each class.

    A batch has `label`, 0 or 1, [batch, num_classes].

    A class is predicted if its probability is above 0.5.

    Attributes:
      num_classes: width of the logits.
      label_smoothing: share s of each target that is moved to 1/2: t (1 - s) + s / 2; in training
        only.
      losses: weight of each loss, by name.
      options: options of each loss, by the loss's name, e.g. `{"focal": {"gamma": 3.0}}`.
      class_weights: factor of each class in the losses, [num_classes]; None weighs all by 1.
      extra_metrics: further metrics to evaluate, by name.

    Raises:
      UserError: an unknown loss or option, or an impossible value.
    """

    num_classes: int
    label_smoothing: float = 0.0
    losses: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: {"binary_cross_entropy": 1.0}
    )
    options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    class_weights: Sequence[float] | None = None
    extra_metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_losses(self.losses, self.options, self.num_classes, task="multilabel")
        check_class_weights(self.class_weights, self.num_classes)

    @property
    def metrics(self) -> dict[str, str]:
        """Maps each metric that can pick the best checkpoint to `max` or `min`."""
        return METRICS | metric_modes(self.extra_metrics, task="multilabel")

    @property
    def num_logits(self) -> int:
        """Number of logits that the network must return per example."""
        return self.num_classes

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """Independent probability of each class, [batch, num_classes]; rows need not sum to 1."""
        return jax.nn.sigmoid(logits)

    def loss(
        self,
        logits: jax.Array,
        batch: Batch,
        *,
        train: bool = False,
        hparams: HParams | None = None,
    ) -> jax.Array:
        """Weighted sum of the losses of each example, [batch], in nats.

        A batch with `target` [batch, num_classes] (mixup, cutmix) is compared with that instead of
        its labels. `hparams["loss.label_smoothing"]` replaces `label_smoothing`.
        """
        target = batch.get("target")
        if target is None:
            target = batch["label"].astype(jnp.float32)
        smoothing = (hparams or {}).get("loss.label_smoothing", self.label_smoothing)
        if train and is_on(smoothing):
            target = target * (1.0 - smoothing) + smoothing / 2
        return weighted_sum(
            logits, target, self.losses, self.options, self.class_weights, task="multilabel"
        )

    def train_sums(self, logits: jax.Array, losses: jax.Array, batch: Batch) -> Sums:
        """Returns the sums over the batch that training reports."""
        mask = batch["mask"]
        right = (self.probabilities(logits) > THRESHOLD) == (batch["label"] > 0)
        return {
            "loss": (losses * mask).sum(),
            "right_labels": (right.mean(-1) * mask).sum(),
            "right_sets": (right.all(-1) * mask).sum(),
            "count": mask.sum(),
        }

    def eval_sums(self, logits: jax.Array, batch: Batch) -> Sums:
        """Returns sums over the batch; those of several batches are added before `finalize`."""
        sums = self.train_sums(logits, self.loss(logits, batch), batch)
        batch = {**batch, "probabilities": self.probabilities(logits)}
        counts = F1(self.num_classes).sums(logits, batch)
        sums |= {f"{_F1}/{name}": value for name, value in counts.items()}
        return sums | metric_sums(self.extra_metrics, logits, batch)

    def finalize(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Returns metrics from the sums: means over examples, and F1 over classes that occur.

        `label_accuracy` is the share of labels that are correct, 1 minus the Hamming loss;
        `subset_accuracy` is the share of examples with all labels correct.
        """
        count = max(float(sums["count"]), 1.0)
        metrics = {
            "loss": float(sums["loss"]) / count,
            "label_accuracy": float(sums["right_labels"]) / count,
            "subset_accuracy": float(sums["right_sets"]) / count,
        }
        if f"{_F1}/hits" in sums:
            metrics["f1"] = F1(self.num_classes).finalize(_counts(sums))
        return metrics | metric_values(self.extra_metrics, sums)

    def per_class(self, sums: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Returns `positives` (labels), `precision`, `recall`, `f1` and further metrics per class.

        A value is NaN where its denominator is 0.
        """
        counts = _counts(sums)
        kinds = {"precision": Precision, "recall": Recall, "f1": F1}
        own = {n: kind(self.num_classes).per_class(counts).tolist() for n, kind in kinds.items()}
        extra = values_per_class(self.extra_metrics, sums)
        return {"positives": np.asarray(counts["true"]).tolist()} | own | extra


def _counts(sums: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sums[f"{_F1}/{name}"] for name in ("hits", "true", "predicted")}
