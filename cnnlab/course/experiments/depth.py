"""Plain against residual networks as they get deeper.

He et al. 2015, arXiv:1512.03385, fig. 6: the deeper plain network has the higher training error,
although it could be the shallower one with identities added. Residual blocks make that the easy
case: with their last convolutions at zero, a deeper network is the shallower one.
"""

from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab.course.training import accuracy, digits, mean_and_spread, predictor, train_network
from cnnlab.models import Classifier
from cnnlab.models.classification.resnet import BasicBlock, ResNet
from cnnlab.models.heads import LinearHead
from cnnlab.report.style import BLUE, RED, new_figure

_DEPTHS = (8, 20, 44)
_SEEDS = (0, 1)
_SIZE = 16


class PlainBlock(BasicBlock):
    """The same two convolutions without the shortcut."""

    def add_shortcut(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Leaves the block's input `x` out."""
        return self.activation(y)


def network(depth: int, *, residual: bool, width: int = 8) -> Classifier:
    """ResNet for CIFAR, sec. 4.2 of the paper, with or without shortcuts; depth 6n + 2."""
    block = partial(BasicBlock, shortcut="pad") if residual else PlainBlock
    return Classifier(
        ResNet(((depth - 2) // 6,) * 3, block, "cifar", width=width), LinearHead(10), min_size=4
    )


def measure(
    steps: int = 150, seeds: tuple[int, ...] = _SEEDS, depths: tuple[int, ...] = _DEPTHS
) -> dict[str, Any]:
    """Training loss of each step and test accuracy, by kind and depth."""
    info, train, test = digits(_SIZE)
    results = []
    for residual in (False, True):
        for depth in depths:
            model = network(depth, residual=residual)
            losses, scores = [], []
            for seed in seeds:
                tx = optax.sgd(optax.cosine_decay_schedule(0.05, steps), momentum=0.9)
                variables, loss = train_network(
                    model, train, info, tx=tx, steps=steps, batch_size=64, seed=seed
                )
                predict = predictor(model, variables, info)
                losses.append(loss)
                scores.append(accuracy(predict, test.images, test.labels))
            results.append(
                {
                    "residual": residual,
                    "depth": depth,
                    "train_loss": [round(float(x), 4) for x in np.mean(losses, axis=0)],
                    "test_accuracy": mean_and_spread(scores),
                }
            )
    return {"seeds": list(seeds), "steps": steps, "batch_size": 64, "image_size": _SIZE, "width": 8,
            "results": results}  # fmt: skip


def draw(numbers: dict[str, Any]) -> Figure:
    """Training loss over steps, for both kinds, the deeper the darker."""
    depths = sorted({row["depth"] for row in numbers["results"]})
    shades = dict(zip(depths, np.linspace(0.35, 1.0, len(depths)), strict=True))
    with new_figure(8.2, 3.4) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for row in numbers["results"]:
            axis = panels[int(row["residual"])]
            score = 100 * row["test_accuracy"]["mean"]
            axis.plot(
                range(1, numbers["steps"] + 1),
                _smoothed(np.array(row["train_loss"])),
                color=BLUE if row["residual"] else RED,
                alpha=shades[row["depth"]],
                label=f"{row['depth']} layers, test {score:.1f} %",
            )
        for axis, title in zip(panels, ("plain", "residual"), strict=True):
            axis.set(title=title, xlabel="step", yscale="log")
            axis.legend(loc="lower left", fontsize=9)
        panels[0].set_ylabel("training loss")
    return figure


def _smoothed(losses: np.ndarray, window: int = 9) -> np.ndarray:
    """Mean over neighbouring steps, fewer of them at the ends."""
    weights = np.ones(min(window, len(losses)))
    return np.convolve(losses, weights, "same") / np.convolve(np.ones_like(losses), weights, "same")
