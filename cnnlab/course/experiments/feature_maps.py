"""A dense network and LeNet, trained once and kept: feature maps, and the digit canvas of the site.

Weights are kept as 8-bit integers with one scale for each array; the accuracies told are those of
the weights as they are kept.
"""

import base64
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from matplotlib.figure import Figure

from cnnlab.analysis import textbook
from cnnlab.course.figures.digits import show
from cnnlab.course.training import accuracy, digits, predictor, train_network
from cnnlab.data.augment import AugmentConfig
from cnnlab.models import create_model
from cnnlab.report.style import new_figure

_SIZE, _MARGIN = 28, 4
# Hand-drawn digits differ more than the embedded ones. No translation: it is what is compared.
_AUGMENT = AugmentConfig(rotate_degrees=10.0, scale=0.15, shear_degrees=10.0)
NETWORKS = {"mlp": {"hidden": (48,)}, "lenet_relu": {}}


def measure(steps: int = 1200, seed: int = 0) -> dict[str, Any]:
    """Trains both networks and packs their weights."""
    info, train, test = digits(_SIZE, margin=_MARGIN)
    networks = {}
    for name, options in NETWORKS.items():
        model = create_model(name, num_classes=10, **options)
        tx = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
        variables, _ = train_network(
            model, train, info, tx=tx, steps=steps, batch_size=64, seed=seed, augment=_AUGMENT
        )
        weights = flatten_dict(variables["params"], sep="/")
        networks[name] = {"weights": {path: pack(np.asarray(v)) for path, v in weights.items()}}
        predict = predictor(model, network_variables({"networks": networks}, name), info)
        score = accuracy(predict, test.images, test.labels)
        networks[name]["test_accuracy"] = round(score, 4)
    example = test.images[np.flatnonzero(test.labels == 3)[0], :, :, 0]
    return {"seeds": [seed], "steps": steps, "image_size": _SIZE, "margin": _MARGIN,
            "mean": info.mean[0], "std": info.std[0], "example": pack(example / 255.0),
            "networks": networks}  # fmt: skip


def pack(array: np.ndarray) -> dict[str, Any]:
    """An array as 8-bit integers in base64, with the scale that undoes it."""
    scale = float(np.abs(array).max()) / 127 or 1.0
    codes = np.round(array / scale).astype(np.int8)
    return {"shape": list(array.shape), "scale": scale,
            "data": base64.b64encode(codes.tobytes()).decode()}  # fmt: skip


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The array of `pack`, float32, each value within half a scale of the original."""
    codes = np.frombuffer(base64.b64decode(packed["data"]), np.int8)
    return (codes.astype(np.float32) * np.float32(packed["scale"])).reshape(packed["shape"])


def network_variables(numbers: dict[str, Any], name: str) -> dict[str, Any]:
    """The kept variables of one of `NETWORKS`."""
    weights = numbers["networks"][name]["weights"]
    arrays = {tuple(path.split("/")): jnp.asarray(unpack(v)) for path, v in weights.items()}
    return {"params": unflatten_dict(arrays)}


def lenet_maps(numbers: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The example, and LeNet's maps of it after each convolution and ReLU, by the definitions."""
    weights = {k: unpack(v) for k, v in numbers["networks"]["lenet_relu"]["weights"].items()}
    image = unpack(numbers["example"])
    x = ((image - numbers["mean"]) / numbers["std"])[..., None]
    first = textbook.cross_correlate_channels(
        x, weights["backbone/conv1/kernel"], bias=weights["backbone/conv1/bias"], padding=2
    )
    first = np.maximum(first, 0)
    pooled = np.stack([textbook.pool(first[..., c], 2, stride=2) for c in range(6)], axis=-1)
    second = textbook.cross_correlate_channels(
        pooled, weights["backbone/conv2/kernel"], bias=weights["backbone/conv2/bias"]
    )
    return image, first, np.maximum(second, 0)


def draw(numbers: dict[str, Any]) -> Figure:
    """The digit, the six maps of the first layer with their kernels, the sixteen of the second."""
    image, first, second = lenet_maps(numbers)
    kernels = unpack(numbers["networks"]["lenet_relu"]["weights"]["backbone/conv1/kernel"])
    with new_figure(8.6, 4.9) as figure:
        grid = figure.add_gridspec(4, 9)
        show(figure.add_subplot(grid[0:2, 0:2]), image, "input")
        for c in range(6):
            axis = figure.add_subplot(grid[0, 2 + c])
            show(axis, kernels[:, :, 0, c], f"kernel {c + 1}", signed=True)
            axis = figure.add_subplot(grid[1, 2 + c])
            show(axis, first[..., c], f"conv1, {c + 1}", limits=(0.0, float(first.max())))
        for c in range(16):
            axis = figure.add_subplot(grid[2 + c // 8, 1 + c % 8])
            show(axis, second[..., c], f"conv2, {c + 1}", limits=(0.0, float(second.max())))
    return figure
