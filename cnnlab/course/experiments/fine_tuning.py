"""Fine-tuning against training from scratch: five digits are learned, then the five others.

The source task has all images of the digits 0 to 4, the target task a few images each of 5 to 9.
"""

from typing import Any

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab import train as training
from cnnlab.course.training import Variables, accuracy, digits, fit, mean_and_spread, predictor
from cnnlab.data import ArraySource
from cnnlab.data.augment import AugmentConfig
from cnnlab.models import create_model
from cnnlab.report.style import BLUE, GREEN, RED, figure_style

_PER_CLASS = (2, 5, 20)
_SEEDS = (0, 1, 2)
_SIZE = 16
_AUGMENT = AugmentConfig(rotate_degrees=15.0, translate=0.1, scale=0.1, shear_degrees=10.0)
_COLORS = {"from scratch": RED, "head alone": GREEN, "fine-tuned": BLUE}


def measure(
    steps: int = 200,
    source_steps: int = 400,
    seeds: tuple[int, ...] = _SEEDS,
    per_class: tuple[int, ...] = _PER_CLASS,
) -> dict[str, Any]:
    """Test accuracy on 5 to 9 by way of training and number of images a class.

    A seed draws the images, for all ways alike, and the weights that are new.
    """
    info, train, test = digits(_SIZE)
    model = create_model("resnet18", num_classes=5, stem="cifar", width=8, stage_sizes=(1, 1, 1))

    def part(source: ArraySource, digits: range) -> ArraySource:
        chosen = source.take(np.flatnonzero(np.isin(source.labels, digits)))
        return ArraySource(chosen.images, chosen.labels - digits.start)

    def run(source: ArraySource, tx: optax.GradientTransformation, steps: int, seed: int,
            start: Variables | None = None) -> Variables:  # fmt: skip
        return fit(model, source, info, tx=tx, steps=steps, batch_size=10, seed=seed,
                   augment=_AUGMENT, start=start)[0]  # fmt: skip

    def adam(steps: int) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(3e-3, steps))

    learned = run(part(train, range(5)), adam(source_steps), source_steps, seed=0)
    target, unseen = part(train, range(5, 10)), part(test, range(5, 10))
    results = []
    for count in per_class:
        scores: dict[str, list[float]] = {name: [] for name in _COLORS}
        for seed in seeds:
            rng = np.random.default_rng(seed)
            chosen = np.concatenate(
                [rng.permutation(np.flatnonzero(target.labels == c))[:count] for c in range(5)]
            )
            few = target.take(chosen)
            start = _with_new_head(model, learned, seed)
            frozen = training.split_optimizer(head=adam(steps), backbone=optax.set_to_zero())
            runs = {
                "from scratch": run(few, adam(steps), steps, seed),
                "head alone": run(few, frozen, steps, seed, start),
                "fine-tuned": run(few, adam(steps), steps, seed, start),
            }
            for name, variables in runs.items():
                predict = predictor(model, variables, info)
                scores[name].append(accuracy(predict, unseen.images, unseen.labels))
        results += [
            {"way": name, "per_class": count, "test_accuracy": mean_and_spread(values)}
            for name, values in scores.items()
        ]
    return {"seeds": list(seeds), "steps": steps, "source_steps": source_steps, "batch_size": 10,
            "image_size": _SIZE, "results": results}  # fmt: skip


def _with_new_head(model: Any, learned: Variables, seed: int) -> Variables:
    """The learned backbone under a head that has learned nothing."""
    image = np.zeros((1, _SIZE, _SIZE, 1), np.float32)
    new = jax.jit(lambda key: model.init(key, image, train=False))(jax.random.key(seed))
    return {**learned, "params": {**learned["params"], "head": new["params"]["head"]}}


def draw(numbers: dict[str, Any]) -> Figure:
    """Accuracy as bars: a group for each number of images, a bar for each way."""
    counts = sorted({row["per_class"] for row in numbers["results"]})
    with figure_style():
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
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
        axis.set(xlabel="of each of the digits 5 to 9", ylabel="test accuracy (%)", ylim=(0, 108))
        axis.grid(False, axis="x")
        axis.legend(loc="upper left", ncols=3)
    return figure
