"""Finite differences beside backpropagation: how near they come, by step size and precision."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis.textbook import cross_correlate, cross_correlate_gradients
from cnnlab.course.training import digits
from cnnlab.report.style import BLUE, RED, new_figure

_SEEDS = (0, 1, 2)
_STEPS = tuple(10.0**-k for k in range(1, 11))
_COLORS = {"float32": RED, "float64": BLUE}


def measure(seeds: tuple[int, ...] = _SEEDS, steps: tuple[float, ...] = _STEPS) -> dict[str, Any]:
    """Relative error of the gradient of a 3x3 kernel by central differences.

    The loss is the sum of the cubes of a convolution of a digit, so that differences are not exact.

    Args:
      seeds: each draws a digit and a kernel.
      steps: by how much a weight is changed.
    """
    _, train, _ = digits(28)
    results = []
    for dtype in _COLORS:
        errors = np.empty((len(steps), len(seeds)))
        for column, seed in enumerate(seeds):
            rng = np.random.default_rng(seed)
            image = (train.images[rng.integers(len(train)), ..., 0] / 255).astype(dtype)
            kernel = rng.normal(size=(3, 3)).astype(dtype)
            exact = _backpropagated(image.astype(np.float64), kernel.astype(np.float64))
            for row, step in enumerate(steps):
                found = _differences(image, kernel, step)
                errors[row, column] = np.linalg.norm(found - exact) / np.linalg.norm(exact)
        results += [
            {"dtype": dtype, "step": step, "error": {"mean": float(f"{row.mean():.3g}"),
             "std": float(f"{row.std(ddof=1) if len(seeds) > 1 else 0.0:.3g}")}}
            for step, row in zip(steps, errors, strict=True)
        ]  # fmt: skip
    return {"seeds": list(seeds), "image_size": 28, "kernel_size": 3, "results": results}


def _loss(image: np.ndarray, kernel: np.ndarray) -> np.floating:
    return (cross_correlate(image, kernel) ** 3).sum()


def _backpropagated(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    output = cross_correlate(image, kernel)
    _, gradient = cross_correlate_gradients(
        image[..., None], kernel[..., None, None], 3 * output[..., None] ** 2
    )
    return gradient[..., 0, 0]


def _differences(image: np.ndarray, kernel: np.ndarray, step: float) -> np.ndarray:
    """(L(k + h) - L(k - h)) / 2h for each weight, in the precision of the kernel."""
    gradient = np.empty(kernel.shape)
    for place in np.ndindex(kernel.shape):
        change = np.zeros_like(kernel)
        change[place] = step
        gradient[place] = (_loss(image, kernel + change) - _loss(image, kernel - change)) / (
            2 * change[place]
        )
    return gradient


def draw(numbers: dict[str, Any]) -> Figure:
    """Error over step size, a line for each precision."""
    with new_figure(6.4, 3.4) as figure:
        axis = figure.subplots()
        for dtype, color in _COLORS.items():
            rows = [row for row in numbers["results"] if row["dtype"] == dtype]
            axis.loglog([row["step"] for row in rows], [row["error"]["mean"] for row in rows],
                        "o-", color=color, label=dtype)  # fmt: skip
        axis.invert_xaxis()
        axis.set(xlabel="change h of a weight", ylabel="relative error of the gradient")
        axis.legend()
    return figure
