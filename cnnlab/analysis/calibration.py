"""Whether probabilities are true: reliability, calibration error, temperature scaling."""

from typing import NamedTuple

import numpy as np
from scipy import optimize, special


class Reliability(NamedTuple):
    """Examples sorted into bins by their confidence, the probability of the class they were given.

    Arrays are [bins], NaN in a bin without examples.

    Attributes:
      edges: of the bins, [bins + 1].
      counts: examples in each.
      confidence: their mean confidence.
      accuracy: the share of them that was right.
      ece: expected calibration error: the mean over examples of |accuracy - confidence| of their
        bins (Guo et al. 2017, arXiv:1706.04599, eq. 3).
      mce: the largest of these differences (eq. 5).
      nll: mean negative log-likelihood of the true classes, in nats.
      brier: mean over examples of the squared distance from probabilities to the truth, 0 to 2
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
      bins: of equal width over [0, 1]; each holds its upper edge, as in Guo et al. 2017.
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
    """The temperature T that makes softmax(logits / T) most likely (Guo et al. 2017, sec. 4.2).

    It is to be fitted on examples that neither trained nor judge the network. Logarithms of the
    probabilities serve as the logits, from which they differ by a constant. The likelihood has one
    maximum in 1 / T, which is looked for in [1/20, 20].

    Args:
      probabilities: [examples, classes].
      labels: integers [examples].

    Returns:
      None where every answer is right: then the smaller the likelier, and there is no best.
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
    """softmax(logits / T), float32 [examples, classes]; above 1 it makes a network less sure."""
    return special.softmax(_logits(probabilities) / temperature, axis=1).astype(np.float32)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms; a probability that float32 has rounded to 0 is the smallest that it knows."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
