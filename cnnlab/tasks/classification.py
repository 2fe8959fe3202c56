"""Image classification: loss per example, metric sums, and metrics from the sums."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnnlab.arrays import Batch, HParams, Sums
from cnnlab.tasks.losses import check_class_weights, check_losses
from cnnlab.tasks.losses.images import weighted_sum
from cnnlab.tasks.metrics.registered import Metric, metric_modes, metric_sums, metric_values
from cnnlab.tracing import is_on

# Which direction is better, for every metric that may pick the best checkpoint.
METRICS = {"accuracy": "max", "top5": "max", "mean_class_accuracy": "max", "loss": "min"}

_SIGMOID_LOSSES = ("binary_cross_entropy", "sigmoid_focal")


@dataclasses.dataclass(frozen=True)
class Classification:
    """Classification with one label per image; the loss is softmax cross-entropy by default.

    Attributes:
      num_classes: width of the logits.
      losses: weight of each loss, by name.
      options: options of each loss, by the loss's name.
      class_weights: factor of each class in the losses, [num_classes]; None weighs all by 1.
      extra_metrics: further metrics to evaluate, by name.
      label_smoothing: share of the target spread evenly over the classes (Szegedy et al. 2016,
        arXiv:1512.00567, sec. 7); in training only.
      top_k: a label among the `top_k` largest logits counts for the metric `top5`.
    """

    num_classes: int
    label_smoothing: float = 0.0
    top_k: int = 5
    losses: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"cross_entropy": 1.0})
    options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    class_weights: Sequence[float] | None = None
    extra_metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_losses(self.losses, self.options, self.num_classes, task="classification")
        check_class_weights(self.class_weights, self.num_classes)

    @property
    def metrics(self) -> dict[str, str]:
        """Maps each metric that can pick the best checkpoint to `max` or `min`.

        `top5` is omitted for at most `top_k` classes, where it would always be 1.
        """
        few = self.num_classes <= self.top_k
        modes = {name: mode for name, mode in METRICS.items() if name != "top5" or not few}
        return modes | metric_modes(self.extra_metrics, task="classification")

    @property
    def num_logits(self) -> int:
        """Number of logits that the network must return per example."""
        return self.num_classes

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """Probability of each class, [batch, num_classes].

        The softmax. If a loss uses a sigmoid for each class, the sigmoids divided by their sum,
        which keeps the ranking of the classes.
        """
        if any(self.losses.get(name) for name in _SIGMOID_LOSSES):
            # From the logarithms, so that very small sigmoids do not become 0 / 0.
            return jax.nn.softmax(jax.nn.log_sigmoid(logits))
        return jax.nn.softmax(logits)

    def loss(
        self,
        logits: jax.Array,
        batch: Batch,
        *,
        train: bool = False,
        hparams: HParams | None = None,
    ) -> jax.Array:
        """Weighted sum of the losses of each example, [batch]; cross-entropy is in nats.

        A batch with `target` [batch, num_classes] (mixup, cutmix) is compared with that instead of
        its labels. `hparams["loss.label_smoothing"]` replaces `label_smoothing`.
        """
        smoothing = (hparams or {}).get("loss.label_smoothing", self.label_smoothing)
        smooth = train and is_on(smoothing)
        target = batch.get("target")
        plain = dict(self.losses) == {"cross_entropy": 1.0} and self.class_weights is None
        if target is None:
            if plain and not smooth:
                return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            target = jax.nn.one_hot(batch["label"], self.num_classes)
        if smooth:
            target = optax.smooth_labels(target, smoothing)
        if plain:
            return optax.softmax_cross_entropy(logits, target)
        return weighted_sum(
            logits, target, self.losses, self.options, self.class_weights, task="classification"
        )

    def train_sums(self, logits: jax.Array, losses: jax.Array, batch: Batch) -> Sums:
        """Returns the sums over the batch that training reports."""
        mask = batch["mask"]
        correct = (logits.argmax(-1) == batch["label"]) * mask
        return {"loss": (losses * mask).sum(), "correct": correct.sum(), "count": mask.sum()}

    def eval_sums(self, logits: jax.Array, batch: Batch) -> Sums:
        """Returns sums over the batch; those of several batches are added before `finalize`.

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
        batch = {**batch, "probabilities": self.probabilities(logits)}
        return sums | metric_sums(self.extra_metrics, logits, batch)

    def finalize(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Returns metrics from the sums: means over examples, or over classes that occur."""
        count = max(float(sums["count"]), 1.0)
        numbers = {
            "loss": float(sums["loss"]) / count,
            "accuracy": float(sums["correct"]) / count,
        }
        if "confusion" in sums:
            if "top5" in self.metrics:
                numbers["top5"] = float(sums["correct_top_k"]) / count
            numbers["mean_class_accuracy"] = float(
                np.nanmean(per_class_accuracy(np.asarray(sums["confusion"])))
            )
        return numbers | metric_values(self.extra_metrics, sums)


def at_chance(confusion: np.ndarray) -> bool:
    """Whether predictions are no better than one answer for all; [true classes, predicted].

    Their accuracy is within two standard errors of the largest class's share or below, and the mean
    accuracy of a class is below one and a half of what guessing gives.
    """
    counts = confusion.sum(axis=1)
    total, classes = counts.sum(), np.count_nonzero(counts)
    if classes < 2:
        return False
    share = counts.max() / total
    accuracy = np.trace(confusion) / total
    error = np.sqrt(share * (1 - share) / total)
    return (
        accuracy <= share + 2 * error and np.nanmean(per_class_accuracy(confusion)) < 1.5 / classes
    )


def per_class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Recall of each class in [0, 1], [num_classes]; NaN for classes without examples."""
    totals = confusion.sum(axis=1)
    return np.where(totals > 0, np.diag(confusion) / np.maximum(totals, 1), np.nan)
