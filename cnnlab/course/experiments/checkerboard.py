"""Checkerboards of transposed convolutions, and how resizing avoids them.

Odena et al. 2016, "Deconvolution and checkerboard artifacts", distill.pub: where the stride does
not divide the kernel, kernels overlap unevenly, and a network must learn to make up for it. Here a
decoder learns to draw digits of 28x28 pixels from 7x7 codes, in two enlargements.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab.course.figures.digits import show
from cnnlab.course.training import digits
from cnnlab.data import batch_indices
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.resize import resize_nearest
from cnnlab.report.style import figure_style

_EXAMPLES = 4


class Decoder(nn.Module):
    """Two enlargements by two, and a convolution that brings the channels together.

    Attributes:
      upsample: `3x3` or `4x4` (transposed convolutions of that kernel at stride 2), or `resize`
        (nearest pixels, then a 3x3 convolution).
      width: channels.
    """

    upsample: str
    width: int = 16

    @nn.compact
    def __call__(self, codes: jax.Array) -> jax.Array:
        """Maps [batch, 7, 7, c] to images [batch, 28, 28, 1]."""
        x = codes
        for _ in range(2):
            x = nn.relu(self._enlarge(x))
        return Conv(1, (1, 1))(x)

    def _enlarge(self, x: jax.Array) -> jax.Array:
        if self.upsample == "resize":
            x = resize_nearest(x, (2 * x.shape[1], 2 * x.shape[2]))
            return Conv(self.width, (3, 3), padding=1)(x)
        kernel = int(self.upsample[0])
        return ConvTranspose(self.width, kernel, 2, padding=1, output_padding=4 - kernel)(x)


UPSAMPLES = {
    "3x3": "transposed, 3 × 3",
    "4x4": "transposed, 4 × 4",
    "resize": "resized, convolved",
}


def measure(steps: int = 200, batch_size: int = 64) -> dict[str, Any]:
    """For each decoder what a constant code becomes before training, digits after it, and scores.

    `checkerboard` is the part of an image's variance with a period of two pixels on both axes or
    one of them, in percent; that of the true digits is what a decoder should have.
    """
    _, train, test = digits()
    images, unseen = (source.images.astype(np.float32) / 255 for source in (train, test))
    results = []
    for name in UPSAMPLES:
        decoder = Decoder(name)
        variables = decoder.init(jax.random.key(0), _encode(images[:1]))
        untrained = decoder.apply(variables, jnp.ones((1, 7, 7, 1)))[0, 8:20, 8:20, 0]
        variables = _train(decoder, variables, images, steps, batch_size)
        drawn = np.asarray(jax.jit(decoder.apply)(variables, _encode(unseen)))
        results.append(
            {
                "upsample": name,
                "untrained": np.round(np.asarray(untrained), 4).tolist(),
                "untrained_checkerboard": round(checkerboard(np.asarray(untrained)[None]), 2),
                "drawn": np.round(drawn[:_EXAMPLES, ..., 0], 3).tolist(),
                "error": round(float(np.square(drawn - unseen).mean()), 5),
                "checkerboard": round(checkerboard(drawn[..., 0]), 3),
            }
        )
    return {
        "seeds": [0],
        "steps": steps,
        "batch_size": batch_size,
        "true": np.round(unseen[:_EXAMPLES, ..., 0], 3).tolist(),
        "true_checkerboard": round(checkerboard(unseen[..., 0]), 3),
        "results": results,
    }


def checkerboard(images: np.ndarray) -> float:
    """Share, in percent, of the variance of images [batch, height, width] with a period of 2.

    Of their Fourier coefficients those at the highest frequency of rows, of columns or of both.
    """
    power = np.square(np.abs(np.fft.fft2(images - images.mean(axis=(1, 2), keepdims=True))))
    row, column = images.shape[1] // 2, images.shape[2] // 2
    found = power[:, row, 0] + power[:, 0, column] + power[:, row, column]
    return float(100 * found.sum() / max(power.sum(), np.finfo(float).tiny))


def _encode(images: np.ndarray) -> jax.Array:
    """Means of 4x4 pixels: a code that says roughly what the digit looks like."""
    return nn.avg_pool(jnp.asarray(images), (4, 4), (4, 4))


def _train(
    decoder: Decoder, variables: Any, images: np.ndarray, steps: int, batch_size: int
) -> Any:
    tx = optax.adam(3e-3)

    def loss(variables: Any, batch: jax.Array) -> jax.Array:
        return jnp.square(decoder.apply(variables, _encode(batch)) - batch).mean()

    @jax.jit
    def step(variables: Any, state: Any, batch: jax.Array) -> tuple[Any, Any]:
        updates, state = tx.update(jax.grad(loss)(variables, batch), state)
        return optax.apply_updates(variables, updates), state

    state = tx.init(variables)
    for number in range(steps):
        chosen = batch_indices(0, number, batch_size=batch_size, num_examples=len(images))
        variables, state = step(variables, state, images[chosen])
    return variables


def draw(numbers: dict[str, Any]) -> Figure:
    """A row for each decoder: a constant code before training, then digits after it."""
    with figure_style():
        figure = Figure(figsize=(7.4, 5.6), layout="constrained")
        rows = figure.subplots(1 + len(numbers["results"]), 1 + _EXAMPLES)
        rows[0, 0].set_axis_off()
        for axis, image in zip(rows[0, 1:], numbers["true"], strict=True):
            show(axis, np.array(image), limits=(0, 1))
        rows[0, 1].set_ylabel(f"true, {numbers['true_checkerboard']:.2f} %", fontsize=8)
        for row, result in zip(rows[1:], numbers["results"], strict=True):
            show(row[0], np.array(result["untrained"]))
            label = f"{UPSAMPLES[result['upsample']]}\n{result['checkerboard']:.2f} %"
            row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
            for axis, image in zip(row[1:], result["drawn"], strict=True):
                show(axis, np.array(image), limits=(0, 1))
        rows[1, 0].set_title("constant code,\nuntrained", fontsize=8, loc="center")
        rows[0, 1].set_title("digits", fontsize=8, loc="center")
    return figure
