"""Why networks are normalised: activations and gradients through depth, and noise of the batch.

Three motivations of batch normalisation (d2l.ai, sec. 8.5; Ioffe & Szegedy 2015): layers of one
scale are easier to train, the scale of the first weights matters less, and the statistics of a
random batch are a noise that regularises. A plain stack of convolutions, untrained.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab.course.training import digits
from cnnlab.report.style import BLUE, GREEN, RED, new_figure

_GAINS = (0.7, 1.0, 1.4)
_DEPTH, _WIDTH, _SIZE = 20, 16, 16
_SEEDS = (0, 1, 2)
_NOISE_BATCHES = (2, 4, 8, 16, 32, 64, 128)


class Stack(nn.Module):
    """Convolutions of 3x3 with ReLU, then a mean over positions and a dense layer.

    Attributes:
      norm: whether batch normalisation precedes each ReLU.
      gain: factor on the standard deviation of He's initialisation.
      depth: convolutions.
      width: their channels.
    """

    norm: bool
    gain: float
    depth: int = _DEPTH
    width: int = _WIDTH

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps [batch, height, width, 1] to logits [batch, 10] and each layer's deviation."""
        init = nn.initializers.variance_scaling(2.0 * self.gain**2, "fan_in", "normal")
        deviations = []
        for _ in range(self.depth):
            x = nn.Conv(self.width, (3, 3), kernel_init=init, use_bias=False)(x)
            if self.norm:
                x = nn.BatchNorm(use_running_average=False)(x)
            x = nn.relu(x)
            deviations.append(x.std())
        return nn.Dense(10)(x.mean((1, 2))), jnp.stack(deviations)


def _forward(model: Stack, variables: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    return model.apply(variables, images, mutable=["batch_stats"])[0]


def _through_depth(norm: bool, gain: float, seed: int, images: jax.Array, labels: jax.Array):
    """Standard deviation of each layer's output, and the norm of each kernel's gradient."""
    model = Stack(norm, gain)
    variables = model.init(jax.random.key(seed), images)

    def loss(params: Any) -> tuple[jax.Array, jax.Array]:
        logits, deviations = _forward(model, {**variables, "params": params}, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), deviations

    grads, deviations = jax.grad(loss, has_aux=True)(variables["params"])
    norms = [jnp.linalg.norm(grads[f"Conv_{n}"]["kernel"]) for n in range(model.depth)]
    return deviations, jnp.stack(norms)


def _noise(batch_size: int, seed: int, images: np.ndarray, draws: int = 20) -> float:
    """How far the logits of one image move with its batch, against their spread over images."""
    model = Stack(norm=True, gain=1.0, depth=5)
    variables = model.init(jax.random.key(seed), images[:2])
    run = jax.jit(partial(_forward, model))
    rng = np.random.default_rng(seed)
    spread = np.asarray(run(variables, images[:256])[0]).std(axis=0).mean()
    alone = []
    for _ in range(draws):
        chosen = rng.choice(len(images) - 1, batch_size - 1, replace=False) + 1
        batch = np.concatenate([images[:1], images[chosen]])
        alone.append(np.asarray(run(variables, batch)[0])[0])
    return float(np.std(alone, axis=0).mean() / spread)


def measure(
    seeds: tuple[int, ...] = _SEEDS, noise_batches: tuple[int, ...] = _NOISE_BATCHES
) -> dict[str, Any]:
    """Deviations and gradients by layer, for three scales of the weights, and the batch's noise."""
    info, train, _ = digits(_SIZE)
    images = ((train.images[:512] / 255.0 - info.mean) / info.std).astype(np.float32)
    labels = jnp.asarray(train.labels[:64].astype(np.int32))
    results = []
    for norm in (False, True):
        for gain in _GAINS:
            run = jax.jit(partial(_through_depth, norm, gain), static_argnums=0)
            both = [run(seed, jnp.asarray(images[:64]), labels) for seed in seeds]
            results.append(
                {
                    "batch_norm": norm,
                    "gain": gain,
                    "deviation": [[float(f"{v:.4g}") for v in d] for d, _ in both],
                    "gradient": [[float(f"{v:.4g}") for v in g] for _, g in both],
                }
            )
    noise = [[round(_noise(size, seed, images), 4) for seed in seeds] for size in noise_batches]
    return {"seeds": list(seeds), "depth": _DEPTH, "width": _WIDTH, "image_size": _SIZE,
            "noise_batches": list(noise_batches), "noise": noise, "results": results}  # fmt: skip


def draw(numbers: dict[str, Any]) -> Figure:
    """Three panels: deviations and gradients through depth, and noise over the batch size."""
    with new_figure(9.8, 3.4) as figure:
        scale, gradient, noise = figure.subplots(1, 3)
        colors = dict(zip(_GAINS, (BLUE, GREEN, RED), strict=True))
        for row in numbers["results"]:
            style = "-" if row["batch_norm"] else "--"
            for axis, key in ((scale, "deviation"), (gradient, "gradient")):
                values = np.exp(np.log(row[key]).mean(axis=0))
                axis.plot(range(1, 1 + len(values)), values, style, color=colors[row["gain"]])
        for gain, color in colors.items():
            scale.plot([], [], color=color, label=f"weights × {gain}")
        scale.plot([], [], "-", color="#444444", label="batch norm")
        scale.plot([], [], "--", color="#444444", label="no norm")
        scale.legend(fontsize=7.5, loc="upper left")
        ticks = (1, 5, 10, 15, 20)
        scale.set(yscale="log", ylim=(1e-4, 1e7), xticks=ticks, xlabel="layer",
                  title="deviation of the output")  # fmt: skip
        gradient.set(yscale="log", xticks=ticks, xlabel="layer", title="norm of the gradient")
        values = 100 * np.array(numbers["noise"])
        spread = values.std(1, ddof=int(values.shape[1] > 1))
        noise.errorbar(numbers["noise_batches"], values.mean(1), spread, fmt="o-",
                       color=BLUE, capsize=3)  # fmt: skip
        noise.set_xscale("log", base=2)
        noise.set_xticks(numbers["noise_batches"], numbers["noise_batches"])
        noise.set(xlabel="batch size", ylim=(0, None), title="noise of the batch (%)")
    return figure
