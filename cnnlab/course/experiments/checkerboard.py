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
from cnnlab.report.style import new_figure

_EXAMPLE = 3  # of the test images


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
    """For each decoder what an even code becomes, before and after training, and its error.

    A code that is the same everywhere says nothing of where a pixel is. So what varies with the
    period of the strides, in what a decoder makes of it, is a checkerboard.
    """
    _, train, test = digits()
    images, unseen = (source.images.astype(np.float32) / 255 for source in (train, test))
    even = jnp.full((1, 7, 7, 1), 0.5)
    results = []
    for name in UPSAMPLES:
        decoder = Decoder(name)
        apply = jax.jit(decoder.apply)
        untrained = decoder.init(jax.random.key(0), even)
        trained = _train(decoder, untrained, images, steps, batch_size)
        tiles = {
            when: phases(np.asarray(apply(variables, even), np.float64)[0, ..., 0])
            for when, variables in (("untrained", untrained), ("trained", trained))
        }
        drawn = np.asarray(apply(trained, _encode(unseen)), np.float64)
        results.append(
            {
                "upsample": name,
                "phases": {when: np.round(tile, 4).tolist() for when, tile in tiles.items()},
                "ripple": {when: round(ripple(tile), 4) for when, tile in tiles.items()},
                "error": round(float(np.square(drawn - unseen).mean()), 5),
                "drawn": np.round(drawn[_EXAMPLE, ..., 0], 2).tolist(),
            }
        )
    return {"seeds": [0], "steps": steps, "batch_size": batch_size, "results": results}


def phases(image: np.ndarray) -> np.ndarray:
    """Means of the pixels at each of the 4x4 places between two codes, [4, 4].

    Args:
      image: [28, 28]; its outer 8 pixels, which see padding, are left out.
    """
    return image[8:20, 8:20].reshape(3, 4, 3, 4).mean(axis=(0, 2))


def ripple(tile: np.ndarray) -> float:
    """Standard deviation over the phases in parts of their root mean square; 0 if all are alike."""
    return float(tile.std() / max(np.sqrt(np.square(tile).mean()), np.finfo(np.float32).tiny))


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
    """For each decoder its even code before and after training, and a digit."""
    with new_figure(6.8, 6.0) as figure:
        columns = figure.subplots(3, len(numbers["results"])).T
        for column, result in zip(columns, numbers["results"], strict=True):
            column[0].set_title(UPSAMPLES[result["upsample"]], fontsize=10, loc="center")
            for axis, when in zip(column, ("untrained", "trained"), strict=False):
                tile = np.array(result["phases"][when])
                around = (tile - tile.mean()) / np.sqrt(np.square(tile).mean())
                caption = f"ripple {100 * result['ripple'][when]:.1f} %"
                show(axis, np.tile(around, (3, 3)), caption, limits=(-0.5, 0.5))
            caption = f"mean squared error {result['error']:.4f}"
            show(column[2], np.array(result["drawn"]), caption, limits=(0, 1))
        names = ("an even code,\nuntrained", "an even code,\ntrained", "a digit,\ntrained")
        for axis, name in zip(columns[0], names, strict=True):
            axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    return figure
