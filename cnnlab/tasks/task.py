"""What training and evaluation ask of a task, whatever its labels are."""

from collections.abc import Mapping
from typing import Any, Protocol

import jax

Batch = Mapping[str, jax.Array]
Sums = dict[str, jax.Array]


class Task(Protocol):
    """Loss per example, metric sums, and the numbers they become.

    Attributes:
      num_classes: that labels tell apart.
      metrics: names of the numbers that may pick the best checkpoint, with the better direction,
        `max` or `min`.
    """

    num_classes: int
    metrics: Mapping[str, str]

    @property
    def num_logits(self) -> int:
        """Width of the logits that a network must give."""

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """Probability of each class, on a last axis of `num_classes`."""

    def loss(self, logits: jax.Array, batch: Batch, *, train: bool = False) -> jax.Array:
        """Loss of each example, [batch]."""

    def train_sums(self, logits: jax.Array, losses: jax.Array, batch: Batch) -> Sums:
        """Sums over the batch that training reports: cheap ones, among them `loss` and `count`."""

    def eval_sums(self, logits: jax.Array, batch: Batch) -> Sums:
        """Sums over the batch that evaluation merges: of two batches, the sums add up."""

    def finalize(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Numbers from either kind of sums."""
