"""Where small batches harm batch norm: a dense network, whose statistics have no positions.

With two examples each normalised feature is +1 or -1 before scale and shift, whatever the input:
most of what the layer computed is lost, and inference with running averages sees other values.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab.course.experiments.norms import plot_over_batch_sizes
from cnnlab.course.training import digits, mean_and_spread
from cnnlab.report.style import BLUE, GREY, RED, new_figure

_BATCH_SIZES = (2, 4, 8, 16, 32, 64)
_SEEDS = (0, 1, 2)
_SIZE = 16
NORMS = {"batch": RED, "layer": BLUE, "none": GREY}


class DenseNetwork(nn.Module):
    """Two hidden layers of 128 units, each with a norm before its ReLU.

    Attributes:
      norm: `batch`, `layer` or `none`.
    """

    norm: str

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [batch, features] to logits [batch, 10]."""
        for _ in range(2):
            x = nn.Dense(128, use_bias=self.norm != "batch")(x)
            if self.norm == "batch":
                x = nn.BatchNorm(use_running_average=not train, momentum=0.99)(x)
            elif self.norm == "layer":
                x = nn.LayerNorm()(x)
            x = nn.relu(x)
        return nn.Dense(10)(x)


def _train(norm: str, batch_size: int, examples: int, seed: int, data: tuple) -> float:
    """Test accuracy after one compiled loop over shuffled batches."""
    images, labels, test_images, test_labels = data
    steps = examples // batch_size
    model = DenseNetwork(norm)
    tx = optax.sgd(optax.cosine_decay_schedule(0.1 * batch_size / 64, steps), momentum=0.9)
    rng = np.random.default_rng(seed)
    epochs = [rng.permutation(len(images)) for _ in range(examples // len(images) + 1)]
    order = np.concatenate(epochs)[: steps * batch_size].reshape(steps, batch_size)

    @jax.jit
    def run(order: jax.Array) -> jax.Array:
        variables = model.init(jax.random.key(seed), images[:2], train=False)
        params, stats = variables["params"], variables.get("batch_stats", {})

        def step(carry: tuple, rows: jax.Array) -> tuple[tuple, None]:
            params, stats, opt_state = carry

            def loss(params: Any) -> tuple[jax.Array, Any]:
                logits, new = model.apply(
                    {"params": params, "batch_stats": stats},
                    images[rows],
                    train=True,
                    mutable=["batch_stats"],
                )
                losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows])
                return losses.mean(), new.get("batch_stats", {})

            grads, stats = jax.grad(loss, has_aux=True)(params)
            updates, opt_state = tx.update(grads, opt_state)
            return (optax.apply_updates(params, updates), stats, opt_state), None

        (params, stats, _), _ = jax.lax.scan(step, (params, stats, tx.init(params)), order)
        logits = model.apply({"params": params, "batch_stats": stats}, test_images, train=False)
        return (logits.argmax(-1) == test_labels).mean()

    return float(run(jnp.asarray(order)))


def measure(
    examples: int = 32_000,
    seeds: tuple[int, ...] = _SEEDS,
    batch_sizes: tuple[int, ...] = _BATCH_SIZES,
) -> dict[str, Any]:
    """Test accuracy after the same number of examples, by norm and batch size."""
    info, train, test = digits(_SIZE)

    def flat(images: np.ndarray) -> jax.Array:
        normalised = (images / 255.0 - info.mean) / info.std
        return jnp.asarray(normalised.reshape(len(images), -1).astype(np.float32))

    data = (flat(train.images), jnp.asarray(train.labels.astype(np.int32)),
            flat(test.images), jnp.asarray(test.labels.astype(np.int32)))  # fmt: skip
    results = [
        {
            "norm": norm,
            "batch_size": size,
            "test_accuracy": mean_and_spread(
                [_train(norm, size, examples, seed, data) for seed in seeds]
            ),
        }
        for norm in NORMS
        for size in batch_sizes
    ]
    return {"seeds": list(seeds), "examples": examples, "image_size": _SIZE, "results": results}


def draw(numbers: dict[str, Any]) -> Figure:
    """Accuracy over batch size, a line for each norm."""
    with new_figure(6.4, 3.4) as figure:
        axis = figure.subplots()
        plot_over_batch_sizes(axis, numbers, NORMS)
        axis.legend(loc="lower right")
    return figure
