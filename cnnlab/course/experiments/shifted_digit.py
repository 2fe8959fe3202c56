"""A dense network loses a digit that is shifted; a convolutional one keeps it longer."""

from typing import Any

import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab.analysis.evaluation.corruptions import shift
from cnnlab.course.figures.digits import show
from cnnlab.course.training import accuracy, digits, predictor, train_network
from cnnlab.models import create_model
from cnnlab.report.style import BLUE, GREEN, RED, new_figure

_SHIFTS = tuple(range(-7, 8))
_SIZE, _MARGIN = 32, 7  # no shift pushes a digit out of its image
_SEEDS = (0, 1, 2)

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense network": ("mlp", {}),
    "LeNet": ("lenet_relu", {}),
    "ResNet, pooled globally": (
        "resnet18",
        {"stem": "cifar", "width": 8, "stage_sizes": (1, 1, 1)},
    ),
}
_COLORS = (RED, BLUE, GREEN)


def measure(steps: int = 300, seeds: tuple[int, ...] = _SEEDS) -> dict[str, Any]:
    """Test accuracy of each network at each shift to the right; none has seen a shifted digit."""
    info, train, test = digits(_SIZE, margin=_MARGIN)
    curves = {}
    for name, (architecture, options) in NETWORKS.items():
        model = create_model(architecture, num_classes=10, **options)
        curves[name] = []
        for seed in seeds:
            tx = optax.adam(optax.cosine_decay_schedule(3e-3, steps))
            variables, _ = train_network(
                model, train, info, tx=tx, steps=steps, batch_size=64, seed=seed
            )
            predict = predictor(model, variables, info)
            curves[name].append(
                [
                    round(accuracy(predict, shift(test.images, 0, columns), test.labels), 4)
                    for columns in _SHIFTS
                ]
            )
    return {"seeds": list(seeds), "steps": steps, "batch_size": 64, "image_size": _SIZE,
            "margin": _MARGIN, "shifts": list(_SHIFTS), "accuracy": curves}  # fmt: skip


def draw(numbers: dict[str, Any]) -> Figure:
    """Curves over the shift, the range over seeds shaded, and a digit at some of the shifts."""
    shifts = numbers["shifts"]
    _, _, test = digits(numbers["image_size"], margin=numbers["margin"])
    image = test.images[np.flatnonzero(test.labels == 3)[0]]
    with new_figure(7.6, 4.6) as figure:
        grid = figure.add_gridspec(2, 5, height_ratios=(1, 2.6))
        for column, columns in enumerate((-6, -3, 0, 3, 6)):
            axis = figure.add_subplot(grid[0, column])
            show(
                axis,
                shift(image, 0, columns)[..., 0],
                f"{columns:+d} pixels" if columns else "as it is",
            )
        axis = figure.add_subplot(grid[1, :])
        for color, (name, runs) in zip(_COLORS, numbers["accuracy"].items(), strict=True):
            runs = 100 * np.array(runs)
            axis.plot(shifts, runs.mean(axis=0), "o-", color=color, markersize=4, label=name)
            axis.fill_between(shifts, runs.min(axis=0), runs.max(axis=0), color=color, alpha=0.15)
        axis.axhline(10, color="#999999", linestyle=":", linewidth=1)
        axis.text(shifts[0], 4, "chance", fontsize=8, color="#666666")
        axis.set(
            xlabel=f"shift to the right (pixels of {numbers['image_size']})",
            ylabel="test accuracy (%)",
            ylim=(0, 102),
        )
        axis.legend(loc="lower center")
    return figure
