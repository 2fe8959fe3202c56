"""Calibration of probabilities: reliability, calibration error, temperature scaling."""

from typing import NamedTuple

import numpy as np
from scipy import optimize, special


class Reliability(NamedTuple):
    """Examples in bins of confidence, the probability of the predicted class.

    Arrays are [bins]; NaN for bins without examples.

    Attributes:
      edges: edges of the bins, [bins + 1].
      counts: number of examples in each bin.
      confidence: mean confidence in each bin.
      accuracy: accuracy in each bin, in [0, 1].
      ece: expected calibration error: the mean over examples of |accuracy - confidence| of their
        bins (Guo et al. 2017, arXiv:1706.04599, eq. 3).
      mce: the largest of these differences (eq. 5).
      nll: mean negative log-likelihood of the true classes, in nats.
      brier: mean over examples of the squared distance between probabilities and labels, 0 to 2
        (Brier 1950).
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float
    mce: float
    nll: float
    brier: float


def reliability(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15) -> Reliability:
    """Compares confidence with accuracy.

    Args:
      probabilities: [examples, classes].
      labels: integers [examples].
      bins: number of bins of equal width over [0, 1]; each includes its upper edge, as in Guo et
        al. 2017.
    """
    if len(labels) == 0:
        raise ValueError("There is no example to judge probabilities by.")
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(which, confidence, bins) / counts
        accuracy = np.bincount(which, right, bins) / counts
    gaps = np.nan_to_num(np.abs(accuracy - mean_confidence))
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    squares = np.square(probabilities, dtype=np.float64).sum(axis=1)
    return Reliability(
        edges=edges,
        counts=counts,
        confidence=mean_confidence,
        accuracy=accuracy,
        ece=float(gaps @ counts / len(labels)),
        mce=float(gaps.max()),
        nll=float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean()),
        brier=float((squares - 2 * own + 1).mean()),
    )


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """Fits the temperature T that maximises the likelihood of softmax(logits / T).

    Guo et al. 2017, sec. 4.2. Use examples that are neither for training nor for testing.
    Logarithms of the probabilities serve as logits, from which they differ by a constant. The
    likelihood has one maximum in 1 / T, which is searched in [1/20, 20].

    Args:
      probabilities: [examples, classes].
      labels: integers [examples].

    Returns:
      The temperature; None if all predictions are correct, since the likelihood then has no
      maximum.
    """
    if (probabilities.argmax(axis=1) == labels).all():
        return None
    logits = _logits(probabilities)

    def loss(log_temperature: float) -> float:
        scaled = special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[np.arange(len(labels)), labels].mean()

    bounds = (np.log(0.05), np.log(20.0))
    return float(np.exp(optimize.minimize_scalar(loss, bounds=bounds, method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns softmax(logits / T), float32 [examples, classes]; T above 1 lowers confidence."""
    return special.softmax(_logits(probabilities) / temperature, axis=1).astype(np.float32)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities; zeros are replaced by float32's smallest positive number."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
