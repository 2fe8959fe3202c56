"""Fine-tuning against training from scratch: five classes are learned, then the five others.

The source task has all images of its classes, the target task a few images of each.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab import data
from cnnlab import train as training
from cnnlab.course.training import (
    Variables,
    accuracy,
    mean_and_spread,
    predictor,
    train_network,
)
from cnnlab.data import ArraySource
from cnnlab.data.augment import AugmentConfig
from cnnlab.data.statistics import channel_statistics
from cnnlab.models import create_model
from cnnlab.report.style import BLUE, GREEN, RED, new_figure

# Of CIFAR-10: airplane, bird, deer, frog, ship; automobile, cat, dog, horse, truck.
_SOURCE, _TARGET = (0, 2, 4, 6, 8), (1, 3, 5, 7, 9)
_PER_CLASS = (5, 20, 100)
_SEEDS = (0, 1, 2)
_AUGMENT = AugmentConfig(flip=True, pad_crop=4)
_COLORS = {"from scratch": RED, "head alone": GREEN, "fine-tuned": BLUE}


def measure(
    name: str = "cifar10",
    steps: int = 300,
    source_steps: int = 1600,
    seeds: tuple[int, ...] = _SEEDS,
    per_class: tuple[int, ...] = _PER_CLASS,
) -> dict[str, Any]:
    """Test accuracy on the target classes by way of training and number of images a class.

    A seed draws the images, for all ways alike, and the weights that are new.

    Args:
      name: a data set of ten classes.
      steps: updates of 25 images on the target classes.
      source_steps: updates of 128 images on the source classes.
      seeds: one training each.
      per_class: numbers of training images of a target class.

    Raises:
      UserError: CIFAR-10 is not prepared.
    """
    dataset = data.load(name, validation_fraction=0.0)
    train, test = dataset.splits["train"], dataset.splits["test"]
    mean, std = channel_statistics(train)
    info = dataclasses.replace(dataset.info, mean=mean, std=std)
    model = create_model("resnet18", num_classes=5, stem="cifar", width=16, stage_sizes=(1, 1, 1))

    def run(source: ArraySource, tx: optax.GradientTransformation, steps: int, batch_size: int,
            seed: int, start: Variables | None = None) -> Variables:  # fmt: skip
        return train_network(model, source, info, tx=tx, steps=steps, batch_size=batch_size,
                             seed=seed, augment=_AUGMENT, start=start)[0]  # fmt: skip

    def adam(steps: int) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(3e-3, steps))

    learned = run(_classes(train, _SOURCE), adam(source_steps), source_steps, 128, 0)
    target, unseen = _classes(train, _TARGET), _classes(test, _TARGET)
    results = []
    for count in per_class:
        scores: dict[str, list[float]] = {name: [] for name in _COLORS}
        for seed in seeds:
            rng = np.random.default_rng(seed)
            few = target.take(
                np.concatenate(
                    [rng.permutation(np.flatnonzero(target.labels == c))[:count] for c in range(5)]
                )
            )
            start = _with_new_head(model, learned, info.image_shape, seed)
            frozen = training.split_optimizer(head=adam(steps), backbone=optax.set_to_zero())
            runs = {
                "from scratch": run(few, adam(steps), steps, 25, seed),
                "head alone": run(few, frozen, steps, 25, seed, start),
                "fine-tuned": run(few, adam(steps), steps, 25, seed, start),
            }
            for way, variables in runs.items():
                predict = predictor(model, variables, info)
                scores[way].append(accuracy(predict, unseen.images, unseen.labels))
        results += [
            {"way": way, "per_class": count, "test_accuracy": mean_and_spread(values)}
            for way, values in scores.items()
        ]
    return {"data": name, "seeds": list(seeds), "steps": steps, "batch_size": 25,
            "source_steps": source_steps, "source_batch_size": 128, "results": results}  # fmt: skip


def _classes(source: ArraySource, classes: tuple[int, ...]) -> ArraySource:
    """The images of some classes, which become 0, 1, 2 and so on."""
    chosen = source.take(np.flatnonzero(np.isin(source.labels, classes)))
    return ArraySource(chosen.images, np.searchsorted(classes, chosen.labels))


def _with_new_head(
    model: Any, learned: Variables, image_shape: tuple[int, int, int], seed: int
) -> Variables:
    """The learned backbone under a head that has learned nothing."""
    image = np.zeros((1, *image_shape), np.float32)
    new = jax.jit(lambda key: model.init(key, image, train=False))(jax.random.key(seed))
    return {**learned, "params": {**learned["params"], "head": new["params"]["head"]}}


def draw(numbers: dict[str, Any]) -> Figure:
    """Accuracy as bars: a group for each number of images, a bar for each way."""
    counts = sorted({row["per_class"] for row in numbers["results"]})
    with new_figure(6.4, 3.4) as figure:
        axis = figure.subplots()
        for offset, (name, color) in enumerate(_COLORS.items()):
            rows = [row for row in numbers["results"] if row["way"] == name]
            means, spreads = (
                100 * np.array([row["test_accuracy"][key] for row in rows])
                for key in ("mean", "std")
            )
            places = np.arange(len(counts)) + (offset - 1) * 0.27
            bars = axis.bar(places, means, 0.25, yerr=spreads, color=color, capsize=3, label=name)
            axis.bar_label(bars, [f"{mean:.0f}" for mean in means], label_type="center",
                           color="white", fontsize=8)  # fmt: skip
        axis.axhline(20, color="#999999", linestyle=":", linewidth=1)
        axis.set_xticks(range(len(counts)), [f"{count} images" for count in counts])
        axis.set(xlabel="of each of five classes", ylabel="test accuracy (%)", ylim=(0, 108))
        axis.grid(False, axis="x")
        axis.legend(loc="upper left", ncols=3)
    return figure
