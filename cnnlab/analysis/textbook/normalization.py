"""Batch, layer and group normalization, from their formulas.

All of them are scale * (x - mean) / sqrt(variance + epsilon) + shift; they differ in the axes over
which mean and variance are computed.
"""

import math

import numpy as np


def batch_norm(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batch normalization in training (Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1).

    Statistics are per feature over the batch; for convolutions, per channel over the batch and all
    positions.

    Args:
      x: [batch, features] of a dense layer, or [batch, height, width, channels].
      scale: [features] or [channels], gamma in the paper.
      shift: [features] or [channels], beta in the paper.
      epsilon: added to the variance.

    Returns:
      The normalized `x`, and the batch's mean and (biased) variance [channels], from which running
      statistics are updated.
    """
    y, means, variances = np.zeros_like(x), np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    for c in range(x.shape[-1]):
        values = x[..., c]
        means[c] = values.sum() / values.size
        variances[c] = ((values - means[c]) ** 2).sum() / values.size
        normalized = (values - means[c]) / math.sqrt(variances[c] + epsilon)
        y[..., c] = scale[c] * normalized + shift[c]
    return y, means, variances


def moving_average(old: np.ndarray, new: np.ndarray, momentum: float = 0.9) -> np.ndarray:
    """Running statistics after a batch; `momentum` is the weight of the old ones.

    (PyTorch's momentum is the weight of the new ones, and it uses the unbiased variance.)
    """
    return momentum * old + (1.0 - momentum) * new


def batch_norm_inference(
    x: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    epsilon: float = 1e-5,
) -> np.ndarray:
    """Batch normalization in inference, with running statistics, independent of the batch.

    Args:
      x: [batch, features] or [batch, height, width, channels].
      mean: [channels], running mean of the training batches.
      variance: [channels], running variance of the training batches.
      scale: [channels], learned.
      shift: [channels], learned.
      epsilon: added to the variance.
    """
    y = np.zeros_like(x)
    for c in range(x.shape[-1]):
        y[..., c] = scale[c] * (x[..., c] - mean[c]) / math.sqrt(variance[c] + epsilon) + shift[c]
    return y


def layer_norm(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float = 1e-5
) -> np.ndarray:
    """Layer normalization (Ba et al. 2016, arXiv:1607.06450): the features of each example.

    For feature maps, over the channels at each position, as in ConvNeXt. It does not depend on
    other examples, so batch size, training and inference make no difference.

    Args:
      x: [batch, features] or [batch, height, width, channels].
      scale: [channels].
      shift: [channels].
      epsilon: added to the variance.
    """
    y = np.zeros_like(x)
    for position in np.ndindex(x.shape[:-1]):
        values = x[position]
        mean = values.sum() / values.size
        variance = ((values - mean) ** 2).sum() / values.size
        y[position] = scale * (values - mean) / math.sqrt(variance + epsilon) + shift
    return y


def group_norm(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, groups: int, epsilon: float = 1e-5
) -> np.ndarray:
    """Group normalization (Wu & He 2018, arXiv:1803.08494): each group of channels of each example.

    Args:
      x: [batch, height, width, channels]; a mean is over all positions and a group's channels.
      scale: [channels].
      shift: [channels].
      groups: number of groups of equal width.
      epsilon: added to the variance.
    """
    y, width = np.zeros_like(x), x.shape[-1] // groups
    for example in range(len(x)):
        for group in range(groups):
            members = slice(group * width, (group + 1) * width)
            values = x[example, ..., members]
            mean = values.sum() / values.size
            variance = ((values - mean) ** 2).sum() / values.size
            normalized = (values - mean) / math.sqrt(variance + epsilon)
            y[example, ..., members] = scale[members] * normalized + shift[members]
    return y
