"""Hand-made against learned features, from few labels to many.

Histograms of oriented gradients (Dalal & Triggs 2005) with logistic regression, the pixels with
logistic regression, and LeNet, which learns its features.
"""

from typing import Any

import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab.classical.hog import Hog
from cnnlab.classical.linear import fit_linear, standardize
from cnnlab.course.training import accuracy, digits, mean_and_spread, predictor, train_network
from cnnlab.data import ArraySource
from cnnlab.data.augment import AugmentConfig
from cnnlab.models import create_model
from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, new_figure

_PER_CLASS = (2, 5, 20, 100)
_SEEDS = (0, 1, 2)
# Small random maps, as in `experiments/lenet_digits.py`.
_AUGMENT = AugmentConfig(rotate_degrees=15.0, translate=0.1, scale=0.1, shear_degrees=10.0)
_COLORS = {
    "pixels, linear": GREY,
    "HOG, linear": ORANGE,
    "LeNet": BLUE,
    "LeNet, augmented": GREEN,
}


def measure(
    steps: int = 600, seeds: tuple[int, ...] = _SEEDS, per_class: tuple[int, ...] = _PER_CLASS
) -> dict[str, Any]:
    """Test accuracy by method and number of training images of each class.

    A seed draws the images, for all methods alike, and the weights.
    """
    info, train, test = digits()
    hog = Hog()
    features = {
        "pixels, linear": tuple(_pixels(source.images) for source in (train, test)),
        "HOG, linear": tuple(hog(source.images) for source in (train, test)),
    }
    model = create_model("lenet_relu", num_classes=10)
    results = []
    for count in per_class:
        scores: dict[str, list[float]] = {name: [] for name in _COLORS}
        for seed in seeds:
            chosen = _choose(train.labels, count, seed)
            for name, (inputs, unseen) in features.items():
                scores[name].append(_linear(inputs[chosen], train.labels[chosen], unseen, test))
            for name, augment in (("LeNet", None), ("LeNet, augmented", _AUGMENT)):
                variables, _ = train_network(
                    model,
                    train.take(chosen),
                    info,
                    tx=optax.adam(optax.cosine_decay_schedule(2e-3, steps)),
                    steps=steps,
                    batch_size=20,
                    seed=seed,
                    augment=augment,
                )
                predict = predictor(model, variables, info)
                scores[name].append(accuracy(predict, test.images, test.labels))
        results += [
            {"features": name, "per_class": count, "test_accuracy": mean_and_spread(values)}
            for name, values in scores.items()
        ]
    return {"seeds": list(seeds), "steps": steps, "batch_size": 20, "results": results}


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _choose(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """So many examples of each class."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.permutation(np.flatnonzero(labels == label))[:count] for label in range(10)]
    )


def _linear(
    features: np.ndarray, labels: np.ndarray, unseen: np.ndarray, test: ArraySource
) -> float:
    """Test accuracy of logistic regression; `C` is that of `experiments/hog_digits.py`."""
    features = features.copy()
    mean, scale = standardize(features)
    linear = fit_linear(features, labels, num_classes=10, C=0.01, max_iterations=200)
    logits = linear.of_unscaled(mean, scale).logits(unseen)
    return float((logits.argmax(-1) == test.labels).mean())


def draw(numbers: dict[str, Any]) -> Figure:
    """Accuracy over the number of labels, a line for each method."""
    with new_figure(6.4, 3.6) as figure:
        axis = figure.subplots()
        for name, color in _COLORS.items():
            rows = [row for row in numbers["results"] if row["features"] == name]
            counts = [row["per_class"] for row in rows]
            means, spreads = (
                100 * np.array([row["test_accuracy"][key] for row in rows])
                for key in ("mean", "std")
            )
            axis.errorbar(counts, means, spreads, fmt="o-", color=color, capsize=3, label=name)
        axis.set_xscale("log")
        axis.set_xticks(counts, counts)
        axis.minorticks_off()
        axis.set(xlabel="training images of each digit", ylabel="test accuracy (%)")
        axis.legend(loc="lower right")
    return figure
