"""Batch norm, layer norm and none over batch sizes.

The statistics of a small batch are noise: Wu & He 2018, arXiv:1803.08494, fig. 1. Layer norm asks
no other example. What else changes with the batch are the updates, fewer and larger ones.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import optax
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlab.course.training import accuracy, digits, mean_and_spread, predictor, train_network
from cnnlab.models import create_model
from cnnlab.report.style import BLUE, GREY, RED, new_figure

_BATCH_SIZES = (2, 8, 32, 128)
_SEEDS = (0, 1)
_SIZE = 16
NORMS = {"batch": RED, "layer": BLUE, "none": GREY}


def measure(
    examples: int = 16_000,
    seeds: tuple[int, ...] = _SEEDS,
    batch_sizes: tuple[int, ...] = _BATCH_SIZES,
) -> dict[str, Any]:
    """Test accuracy after the same number of examples, by norm and batch size.

    The learning rate is proportional to the batch size, as in the paper.
    """
    info, train, test = digits(_SIZE)
    results = []
    for norm in NORMS:
        model = create_model(
            "resnet18", num_classes=10, stem="cifar", width=8, stage_sizes=(1, 1, 1), norm=norm
        )
        for batch_size in batch_sizes:
            steps = examples // batch_size
            scores = []
            for seed in seeds:
                rate = optax.cosine_decay_schedule(0.2 * batch_size / 128, steps)
                variables, _ = train_network(
                    model,
                    train,
                    info,
                    tx=optax.sgd(rate, momentum=0.9),
                    steps=steps,
                    batch_size=batch_size,
                    seed=seed,
                )
                predict = predictor(model, variables, info)
                scores.append(accuracy(predict, test.images, test.labels))
            results.append(
                {"norm": norm, "batch_size": batch_size, "test_accuracy": mean_and_spread(scores)}
            )
    return {"seeds": list(seeds), "examples": examples, "image_size": _SIZE, "results": results}


def draw(numbers: dict[str, Any]) -> Figure:
    """Accuracy over batch size, a line for each norm."""
    with new_figure(6.4, 3.6) as figure:
        axis = figure.subplots()
        plot_over_batch_sizes(axis, numbers, NORMS)
        axis.set(ylim=(0, 102))
        axis.legend()
    return figure


def plot_over_batch_sizes(axis: Axes, numbers: dict[str, Any], colors: Mapping[str, str]) -> None:
    """Draws mean and deviation of the accuracy over batch size, a line for each norm."""
    for norm, color in colors.items():
        rows = [row for row in numbers["results"] if row["norm"] == norm]
        sizes = [row["batch_size"] for row in rows]
        means, spreads = (
            100 * np.array([row["test_accuracy"][key] for row in rows]) for key in ("mean", "std")
        )
        label = f"{norm} norm" if norm != "none" else "no norm"
        axis.errorbar(sizes, means, spreads, fmt="o-", color=color, capsize=3, label=label)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, sizes)
    axis.set(xlabel="batch size", ylabel="test accuracy (%)")
