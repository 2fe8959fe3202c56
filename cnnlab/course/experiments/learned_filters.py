"""The first layer of AlexNet's shape, trained on CIFAR-10, beside the weights it began with."""

from typing import Any

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab import data, train
from cnnlab.course.experiments.feature_maps import pack, unpack
from cnnlab.course.training import accuracy, predictor, train_network
from cnnlab.data.augment import AugmentConfig
from cnnlab.models import create_model
from cnnlab.report.pixels import filter_images
from cnnlab.report.style import new_figure

# AlexNet's smallest input; its dense layers are narrower than the paper's 4,096, for ten classes,
# and batch norm lets 11x11 kernels settle within a few epochs.
_SIZE = 64
_OPTIONS = {"hidden": (512, 512), "norm": "batch", "dropout_rate": 0.25}


def measure(steps: int = 1600, seed: int = 0, batch_size: int = 128) -> dict[str, Any]:
    """Trains the network; keeps the kernels of its first layer from before and after.

    Args:
      steps: updates; 1,600 of 128 images are four epochs.
      seed: of weights, order and augmentation.
      batch_size: images of an update.

    Raises:
      UserError: CIFAR-10 is not prepared.
    """
    dataset = data.load("cifar10", image_size=_SIZE, validation_fraction=0.0)
    info = dataset.info
    model = create_model("alexnet", num_classes=10, **_OPTIONS)
    rate = optax.cosine_onecycle_schedule(max(steps, 2), 0.1, pct_start=0.2)
    tx = optax.chain(optax.add_decayed_weights(1e-3), optax.sgd(rate, momentum=0.9))
    start = train.create_state(model, tx, image_shape=info.image_shape, seed=seed)
    before = jax.device_get(start.params["backbone"]["conv1"])
    variables, losses = train_network(
        model, dataset.splits["train"], info, tx=tx, steps=steps, batch_size=batch_size, seed=seed,
        augment=AugmentConfig(flip=True, pad_crop=4),
    )  # fmt: skip
    test = dataset.splits["test"]
    score = accuracy(predictor(model, variables, info), test.images, test.labels)
    results = [
        {"when": when, "kernels": pack(_kernel(layer))}
        for when, layer in (
            ("random", before),
            ("trained", variables["params"]["backbone"]["conv1"]),
        )
    ]
    return {"seeds": [seed], "steps": steps, "batch_size": batch_size, "image_size": _SIZE,
            "loss": round(float(losses[-50:].mean()), 4), "test_accuracy": round(score, 4),
            "results": results}  # fmt: skip


def draw(numbers: dict[str, Any]) -> Figure:
    """The 64 kernels before and after training, in colours as the images have them."""
    with new_figure(8.6, 4.6) as figure:
        score = f"trained: test accuracy {100 * numbers['test_accuracy']:.1f} %"
        for axis, result, title in zip(
            figure.subplots(1, 2), numbers["results"], ("random, as it began", score), strict=True
        ):
            tiles = filter_images(np.moveaxis(unpack(result["kernels"]), -1, 0))
            axis.imshow(_grid(np.asarray(tiles)), interpolation="nearest")
            axis.set_title(title)
            axis.axis("off")
    return figure


def _kernel(layer: Any) -> np.ndarray:
    """The one kernel of a layer's parameters, [11, 11, 3, 64]."""
    (kernel,) = [x for x in jax.tree.leaves(layer) if x.ndim == 4]
    return np.asarray(kernel)


def _grid(tiles: np.ndarray, columns: int = 8) -> np.ndarray:
    """Tiles [count, height, width, 3] side by side, with white lines between them."""
    framed = np.pad(tiles, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
    rows = [np.concatenate(list(row), 1) for row in framed.reshape(-1, columns, *framed.shape[1:])]
    return np.concatenate(rows)
