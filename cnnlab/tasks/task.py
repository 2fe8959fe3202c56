"""The interface of tasks, which training and evaluation use."""

from collections.abc import Mapping
from typing import Any, Protocol

import jax

from cnnlab.arrays import Batch, HParams, Sums


class Task(Protocol):
    """Loss per example, metric sums, and metrics from the sums.

    Attributes:
      num_classes: number of classes.
      metrics: metrics that can pick the best checkpoint, each with the better direction, `max` or
        `min`.
    """

    num_classes: int
    metrics: Mapping[str, str]

    @property
    def num_logits(self) -> int:
        """Number of logits that the network must return per example or pixel."""

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """Probability of each class, [..., num_classes]."""

    def loss(
        self,
        logits: jax.Array,
        batch: Batch,
        *,
        train: bool = False,
        hparams: HParams | None = None,
    ) -> jax.Array:
        """Returns the loss of each example, [batch].

        A task without hyper-parameters may omit the argument `hparams`.
        """

    def train_sums(self, logits: jax.Array, losses: jax.Array, batch: Batch) -> Sums:
        """Returns the sums over the batch that training reports, including `loss` and `count`."""

    def eval_sums(self, logits: jax.Array, batch: Batch) -> Sums:
        """Returns sums over the batch; those of several batches are added before `finalize`."""

    def finalize(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Returns metrics from either kind of sums."""
