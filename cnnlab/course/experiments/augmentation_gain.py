"""Training with and without augmentation, scored on digits as they are and on turned ones."""

from typing import Any

import numpy as np
import optax
from matplotlib.figure import Figure
from scipy import ndimage

from cnnlab.course.training import accuracy, digits, mean_and_spread, predictor, train_network
from cnnlab.data.augment import AugmentConfig
from cnnlab.models import create_model
from cnnlab.report.style import BLUE, RED, new_figure

_ANGLES = (-40, -30, -20, -10, 0, 10, 20, 30, 40)
_SEEDS = (0, 1, 2)
_PER_CLASS = 20
RECIPES = {
    "as they are": None,
    "augmented": AugmentConfig(rotate_degrees=20.0, translate=0.1, scale=0.1, shear_degrees=10.0),
}


def measure(steps: int = 800, seeds: tuple[int, ...] = _SEEDS) -> dict[str, Any]:
    """Accuracy on training images and on turned test images, by recipe; 20 images a class."""
    info, train, test = digits(per_class=_PER_CLASS)
    turned = {angle: _turn(test.images, angle) for angle in _ANGLES}
    model = create_model("lenet_relu", num_classes=10)
    results = []
    for name, augment in RECIPES.items():
        seen, unseen = [], []
        for seed in seeds:
            variables, _ = train_network(
                model,
                train,
                info,
                tx=optax.adam(optax.cosine_decay_schedule(2e-3, steps)),
                steps=steps,
                batch_size=20,
                seed=seed,
                augment=augment,
            )
            predict = predictor(model, variables, info)
            seen.append(accuracy(predict, train.images, train.labels))
            unseen.append(
                [round(accuracy(predict, images, test.labels), 4) for images in turned.values()]
            )
        results.append(
            {
                "recipe": name,
                "train_accuracy": mean_and_spread(seen),
                "test_accuracy": mean_and_spread([run[_ANGLES.index(0)] for run in unseen]),
                "by_angle": unseen,
            }
        )
    return {"seeds": list(seeds), "steps": steps, "batch_size": 20, "per_class": _PER_CLASS,
            "angles": list(_ANGLES), "results": results}  # fmt: skip


def _turn(images: np.ndarray, angle: float) -> np.ndarray:
    return ndimage.rotate(images, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")


def draw(numbers: dict[str, Any]) -> Figure:
    """Accuracy over the angle, the range over seeds shaded."""
    angles = numbers["angles"]
    with new_figure(6.4, 3.4) as figure:
        axis = figure.subplots()
        for color, row in zip((RED, BLUE), numbers["results"], strict=True):
            runs = 100 * np.array(row["by_angle"])
            seen = 100 * row["train_accuracy"]["mean"]
            label = f"trained on images {row['recipe']}" if "they" in row["recipe"] else "augmented"
            label = f"{label}; on training images {seen:.1f} %"
            axis.plot(angles, runs.mean(axis=0), "o-", color=color, markersize=4, label=label)
            axis.fill_between(angles, runs.min(axis=0), runs.max(axis=0), color=color, alpha=0.15)
        axis.set(
            xlabel="test images turned by (degrees)", ylabel="test accuracy (%)", xticks=angles
        )
        axis.legend(loc="lower center")
    return figure
