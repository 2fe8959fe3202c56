"""A linear classifier: scikit-learn's multinomial logistic regression as two arrays."""

import dataclasses
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from cnnlab.errors import UserError
from cnnlab.storage.atomic_write import atomic_write

# Features that vary less than rounding does are taken for constant.
_CONSTANT = 1e-6


@dataclasses.dataclass(frozen=True)
class Linear:
    """Weights of a fitted classifier.

    Attributes:
      weights: float32 [features, classes].
      bias: float32 [classes]; minus infinity for classes without training examples, whose
        probability is then 0.
      step: number of iterations of the solver.
    """

    weights: np.ndarray
    bias: np.ndarray
    step: int

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Maps float32 [examples, features] to logits [examples, classes]."""
        return features @ self.weights + self.bias

    def of_unscaled(self, mean: np.ndarray, scale: np.ndarray) -> "Linear":
        """Returns an equal classifier for features before `standardize`, given its results."""
        weights = self.weights / scale[:, None]
        bias = self.bias - mean @ weights
        return Linear(weights.astype(np.float32), bias.astype(np.float32), self.step)

    def save(self, path: Path) -> None:
        """Writes an .npz file atomically."""
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, weights=self.weights, bias=self.bias, step=self.step)
            stream.flush()
            os.fsync(stream.fileno())

    @classmethod
    def load(cls, path: Path, shape: tuple[int, int]) -> "Linear":
        """Reads a file written by `save`.

        Args:
          path: path of the .npz file.
          shape: expected number of features and of classes.

        Raises:
          UserError: the file is missing, damaged (an .npz holds checksums) or of another shape.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                model = cls(arrays["weights"], arrays["bias"], int(arrays["step"]))
        except FileNotFoundError as error:
            raise UserError(
                f"{path} is missing: the run was not fitted to its end; "
                f"train it again with workdir={path.parent}."
            ) from error
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
            raise UserError(f"{path} is damaged: {error}.") from error
        if model.weights.shape != shape or model.bias.shape != shape[1:]:
            raise UserError(
                f"{path} holds weights {list(model.weights.shape)} where config.json and "
                f"dataset.json require {list(shape)} (features, classes)."
            )
        return model


def standardize(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardises each column of float32 [examples, features] to mean 0 and deviation 1, in place.

    Returns:
      Mean and deviation, float64 [features]; the deviation of a constant column counts as 1.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    features -= mean.astype(np.float32)
    # Column by column squared in float64, without a second matrix of that size.
    squares = np.zeros(features.shape[1])
    for rows in np.array_split(features, max(1, len(features) // 1000)):
        squares += np.square(rows, dtype=np.float64).sum(axis=0)
    scale = np.sqrt(squares / len(features))
    scale[scale < _CONSTANT] = 1.0
    features /= scale.astype(np.float32)
    return mean, scale


def fit_linear(
    features: np.ndarray, labels: np.ndarray, *, num_classes: int, C: float, max_iterations: int
) -> Linear:
    """Minimises the cross-entropy of all examples, times C, plus half the squared weights (L-BFGS).

    Args:
      features: float32 [examples, features], standardised.
      labels: int [examples].
      num_classes: width of the logits; classes may be absent from `labels`.
      C: scikit-learn's inverse strength of the penalty.
      max_iterations: largest number of iterations; if the result's `step` equals it, the solver did
        not converge.

    Raises:
      UserError: all labels are equal.
    """
    solver = LogisticRegression(C=C, max_iter=max_iterations)
    if len(np.unique(labels)) < 2:
        raise UserError("Logistic regression needs training examples of at least two classes.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the caller says so in its words
        solver.fit(features, labels)
    coefficients, intercepts = solver.coef_, solver.intercept_
    if len(solver.classes_) == 2:  # scikit-learn keeps the second class's score alone
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    weights = np.zeros((features.shape[1], num_classes), np.float32)
    bias = np.full(num_classes, -np.inf, np.float32)
    weights[:, solver.classes_] = coefficients.T
    bias[solver.classes_] = intercepts
    return Linear(weights, bias, int(solver.n_iter_[0]))
