"""Losses of whole images: functions of logits and target probabilities, one number per example.

All take logits [batch, classes] of any float type, compute in float32, and take targets
[batch, classes] in [0, 1]: one-hot, mixed or smoothed for classification, multi-hot for
`multilabel`. `class_weights` [classes] multiplies the term of each class. Batches are averaged with
equal weights, as PyTorch's `CrossEntropyLoss` does with target probabilities; with class indices it
divides by the sum of the weights instead, which would depend on how a batch is divided.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnnlab.config.options import keyword_options
from cnnlab.registry import LOSSES, register_loss
from cnnlab.tasks.losses.pixels import power

ClassWeights = Sequence[float] | None


@register_loss("cross_entropy", task="classification")
def cross_entropy(
    logits: jax.Array, targets: jax.Array, *, class_weights: ClassWeights = None
) -> jax.Array:
    """Softmax cross-entropy: -sum of w_c t_c log p_c over the classes c, [batch], in nats."""
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -(_weighted(targets, class_weights) * log_p).sum(-1)


@register_loss("focal", task="classification")
def focal(
    logits: jax.Array,
    targets: jax.Array,
    *,
    gamma: float = 2.0,
    class_weights: ClassWeights = None,
) -> jax.Array:
    """Focal loss over the softmax: -sum of w_c t_c (1 - p_c)^gamma log p_c, [batch], in nats.

    Args:
      logits: [batch, classes].
      targets: [batch, classes].
      gamma: focusing exponent; larger values reduce the loss of easy examples, 0 is cross-entropy.
      class_weights: factor of each class.

    References:
      Lin et al. 2017, arXiv:1708.02002, eq. 4, with a sigmoid for each class, which is
      `sigmoid_focal`.
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    modulated = power(-jnp.expm1(log_p), gamma) * log_p
    return -(_weighted(targets, class_weights) * modulated).sum(-1)


@register_loss("binary_cross_entropy", task="classification")
@register_loss("binary_cross_entropy", task="multilabel")
def binary_cross_entropy(
    logits: jax.Array,
    targets: jax.Array,
    *,
    class_weights: ClassWeights = None,
    sum_classes: bool = False,
    target_threshold: float | None = None,
) -> jax.Array:
    """Cross-entropy of a sigmoid for each class, [batch], in nats.

    Equals `timm.loss.BinaryCrossEntropy`, which "ResNet strikes back" uses with mixed targets.

    Args:
      logits: [batch, classes].
      targets: [batch, classes].
      class_weights: factor of each class.
      sum_classes: take the sum over the classes in place of their mean.
      target_threshold: targets above it become 1, the others 0; None keeps them.

    References:
      Wightman et al. 2021, arXiv:2110.00476, sec. 3.
    """
    if target_threshold is not None:
        targets = (targets > target_threshold).astype(jnp.float32)
    losses = optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), targets)
    losses = losses if class_weights is None else losses * jnp.asarray(class_weights, jnp.float32)
    return losses.sum(-1) if sum_classes else losses.mean(-1)


@register_loss("sigmoid_focal", task="classification")
@register_loss("focal", task="multilabel")
def sigmoid_focal(
    logits: jax.Array,
    targets: jax.Array,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    class_weights: ClassWeights = None,
    sum_classes: bool = False,
) -> jax.Array:
    """Focal loss with a sigmoid for each class, [batch], in nats.

    Equals `torchvision.ops.sigmoid_focal_loss`, averaged or summed over the classes.

    Args:
      logits: [batch, classes].
      targets: [batch, classes].
      gamma: focusing exponent; larger values reduce the loss of easy terms, 0 is binary
        cross-entropy.
      alpha: weight of positive targets, in [0, 1]; negative ones have 1 - alpha. None weighs both
        by 1; the paper and torchvision use 0.25.
      class_weights: factor of each class.
      sum_classes: take the sum over the classes in place of their mean.

    References:
      Lin et al. 2017, arXiv:1708.02002, eq. 5.
    """
    logits = logits.astype(jnp.float32)
    losses = optax.sigmoid_binary_cross_entropy(logits, targets)
    p = jax.nn.sigmoid(logits)
    losses *= power(p * (1 - targets) + (1 - p) * targets, gamma)
    if alpha is not None:
        losses *= alpha * targets + (1 - alpha) * (1 - targets)
    losses = losses if class_weights is None else losses * jnp.asarray(class_weights, jnp.float32)
    return losses.sum(-1) if sum_classes else losses.mean(-1)


def weighted_sum(
    logits: jax.Array,
    targets: jax.Array,
    losses: Mapping[str, float],
    options: Mapping[str, Mapping[str, Any]],
    class_weights: ClassWeights,
    *,
    task: str,
) -> jax.Array:
    """Weighted sum of registered losses, [batch].

    A loss without the argument `class_weights` is multiplied by each example's expected weight.

    Args:
      logits: [batch, classes].
      targets: [batch, classes].
      losses: weight of each loss, by name; those of weight 0 are skipped.
      options: options of each loss, by the loss's name.
      class_weights: factor of each class in every loss whose options set none.
      task: the task that the losses are for.
    """
    total = jnp.zeros(logits.shape[0])
    for name, weight in losses.items():
        if not weight:
            continue
        loss, arguments, factor = LOSSES.get(name, task=task), dict(options.get(name, {})), 1.0
        if "class_weights" in keyword_options(loss):
            arguments.setdefault("class_weights", class_weights)
        elif class_weights is not None:
            factor = (targets * jnp.asarray(class_weights, jnp.float32)).sum(-1)
        total += weight * factor * loss(logits, targets, **arguments)
    return total


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Class weights n / (k n_c) for n examples in k classes, as scikit-learn's `balanced`.

    Over the training split they average to 1. A class without examples has weight 0 and does not
    count among the k.

    >>> balanced_weights([30, 10])
    (0.6666666666666666, 2.0)

    Args:
      counts: number of training examples of each class.
    """
    total, present = sum(counts), sum(count > 0 for count in counts)
    return tuple(total / (present * count) if count else 0.0 for count in counts)


def _weighted(targets: jax.Array, class_weights: ClassWeights) -> jax.Array:
    return targets if class_weights is None else targets * jnp.asarray(class_weights, jnp.float32)
