"""Shift consistency of every architecture of the course, trained on the digits."""

from typing import Any

import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab.analysis.evaluation.corruptions import shift
from cnnlab.analysis.evaluation.shift_consistency import (
    consistency,
    consistency_map,
    shifted_classes,
)
from cnnlab.course.training import accuracy, digits, predictor, train_network
from cnnlab.models import create_model
from cnnlab.report.style import BLUE, GREEN, new_figure

# Small versions, so that all of them train in minutes on a CPU: name, options, image size.
NETWORKS: dict[str, tuple[str, dict[str, Any], int]] = {
    "dense network": ("mlp", {}, 32),
    "LeNet": ("lenet_relu", {}, 32),
    "AlexNet": (
        "alexnet",
        {"channels": (16, 32, 48, 32, 32), "hidden": (128,), "pool_size": 1},
        64,
    ),
    "VGG-11": ("vgg11_bn", {"width": 8, "hidden": (64,), "pool_size": 1}, 32),
    "NiN": (
        "nin_cifar",
        {
            "blocks": (((24, 24, 16), 5, 1, 2, "max"), ((32, 32, 32), 5, 1, 2, "avg")),
            "head_hidden": (32, 32),
        },
        32,
    ),
    "GoogLeNet": ("googlenet_v1", {"width": 0.125, "norm": "batch"}, 32),
    "ResNet-18": ("resnet18", {"stem": "cifar", "width": 8}, 32),
    "DenseNet": (
        "densenet_d2l",
        {"stem": "cifar", "growth_rate": 8, "stage_sizes": (2, 2, 2)},
        32,
    ),
}
_STEPS, _BATCH_SIZE, _SEED = 600, 64, 0
_TESTED = 120


def measure(
    steps: int = _STEPS, names: tuple[str, ...] = tuple(NETWORKS), tested: int = _TESTED
) -> dict[str, Any]:
    """For each network: accuracy, consistency, and agreement with itself at each shift.

    Shifts go up to a tenth of the side in every direction, within a black margin, so that no digit
    leaves its image. No network has seen a shifted digit.
    """
    results = []
    for name in names:
        architecture, options, side = NETWORKS[name]
        largest = side // 10
        info, train, test = digits(side, margin=largest)
        model = create_model(architecture, num_classes=10, **options)
        tx = optax.adam(optax.warmup_cosine_decay_schedule(0.0, 2e-3, steps // 10, steps))
        variables, _ = train_network(
            model, train, info, tx=tx, steps=steps, batch_size=_BATCH_SIZE, seed=_SEED
        )
        predict = predictor(model, variables, info)
        classes = shifted_classes(predict, test.images[:tested], max_shift=largest)
        moved = [
            accuracy(predict, shift(test.images[:tested], i, j), test.labels[:tested])
            for i, j in ((-largest, 0), (largest, 0), (0, -largest), (0, largest))
        ]
        results.append(
            {
                "network": name,
                "image_size": side,
                "max_shift": largest,
                "accuracy": round(accuracy(predict, test.images, test.labels), 4),
                "consistency": round(consistency(classes), 4),
                "accuracy_at_largest_shift": round(float(np.mean(moved)), 4),
                "agreement": np.round(consistency_map(classes), 3).tolist(),
            }
        )
    return {"seeds": [_SEED], "steps": steps, "batch_size": _BATCH_SIZE, "tested": tested,
            "results": results}  # fmt: skip


def table(numbers: dict[str, Any]) -> str:
    """The results as a table in Markdown, in percent."""
    lines = [
        "| network | test accuracy | shift consistency | accuracy, shifted by a tenth |",
        "|---|---|---|---|",
    ]
    for row in numbers["results"]:
        values = (row["accuracy"], row["consistency"], row["accuracy_at_largest_shift"])
        cells = " | ".join(f"{100 * value:.1f}" for value in values)
        lines.append(f"| {row['network']} | {cells} |")
    return "\n".join(lines)


def draw(numbers: dict[str, Any]) -> Figure:
    """Bars of consistency and of accuracy at the largest shift, and maps of the agreement."""
    rows = numbers["results"]
    with new_figure(9.0, 4.6) as figure:
        top, bottom = figure.subfigures(2, 1, height_ratios=(2.2, 1))
        axis = top.subplots()
        places = np.arange(len(rows))
        for offset, key, label, color in (
            (-0.2, "consistency", "shift consistency", BLUE),
            (0.2, "accuracy_at_largest_shift", "accuracy, shifted by a tenth of the side", GREEN),
        ):
            values = [100 * row[key] for row in rows]
            bars = axis.bar(places + offset, values, 0.38, color=color, label=label)
            axis.bar_label(bars, [f"{value:.0f}" for value in values], fontsize=8)
        axis.set_xticks(places, [row["network"] for row in rows])
        axis.set(ylabel="%", ylim=(0, 118))
        axis.grid(False, axis="x")
        axis.legend(loc="upper left", ncols=2)
        maps = bottom.subplots(1, len(rows), squeeze=False)[0]
        for map_axis, row in zip(maps, rows, strict=True):
            agreement = np.array(row["agreement"])
            largest = row["max_shift"]
            edge = largest + 0.5
            extent = (-edge, edge, edge, -edge)
            map_axis.imshow(agreement, cmap="viridis", vmin=0, vmax=1, extent=extent)
            map_axis.set(xticks=(-largest, 0, largest), yticks=(-largest, 0, largest))
            map_axis.tick_params(labelsize=7)
            map_axis.grid(False)
            map_axis.set_title(f"{row['image_size']} pixels", fontsize=8, loc="center")
    return figure
