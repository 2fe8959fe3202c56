"""Running statistics of a batch norm layer through training, and what inference loses early on."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from cnnlab import data
from cnnlab.course.training import digits
from cnnlab.report.style import BLUE, GREY, RED, new_figure

_SIZE, _MOMENTUM = 16, 0.95
_SEEDS = (0, 1, 2)


class SmallNetwork(nn.Module):
    """Three convolutions with batch norm and ReLU, a mean over positions, a dense layer."""

    momentum: float = _MOMENTUM

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps [batch, height, width, 1] to logits [batch, 10]."""
        for n, width in enumerate((16, 32, 32)):
            x = nn.Conv(width, (3, 3), strides=1 if n == 0 else 2, use_bias=False)(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(x)
            x = nn.relu(x)
        return nn.Dense(10)(x.mean((1, 2)))


def measure(steps: int = 150, seeds: tuple[int, ...] = _SEEDS) -> dict[str, Any]:
    """One channel's statistics at each step, and test accuracy in both modes at some steps."""
    info, train, test = digits(_SIZE)
    model, tx = SmallNetwork(), optax.adam(3e-3)

    def normalised(images: np.ndarray) -> jax.Array:
        return jnp.asarray(((images / 255.0 - info.mean) / info.std).astype(np.float32))

    @jax.jit
    def step(variables: Any, opt_state: Any, images: jax.Array, labels: jax.Array):
        def loss(params: Any) -> tuple[jax.Array, Any]:
            logits, new = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), new["batch_stats"]

        grads, stats = jax.grad(loss, has_aux=True)(variables["params"])
        updates, opt_state = tx.update(grads, opt_state)
        params = optax.apply_updates(variables["params"], updates)
        return {"params": params, "batch_stats": stats}, opt_state

    @jax.jit
    def correct(
        variables: Any, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        running = model.apply(variables, images, train=False)
        batch, _ = model.apply(variables, images, train=True, mutable=["batch_stats"])
        return (running.argmax(-1) == labels).mean(), (batch.argmax(-1) == labels).mean()

    images, labels = normalised(test.images), jnp.asarray(test.labels.astype(np.int32))
    scored = [n for n in (1, 2, 5, 10, 20, 40, 80, 150) if n <= steps]
    results = []
    for seed in seeds:
        variables = model.init(jax.random.key(seed), images[:2], train=False)
        opt_state = tx.init(variables["params"])
        running, of_batch, scores = [], [], []
        batches = data.train_batches(train, seed=seed, batch_size=64, start_step=0, stop_step=steps)
        for number, batch in enumerate(batches, start=1):
            before = float(variables["batch_stats"]["BatchNorm_1"]["var"][0])
            variables, opt_state = step(
                variables, opt_state, normalised(batch["image"]), batch["label"].astype(np.int32)
            )
            after = float(variables["batch_stats"]["BatchNorm_1"]["var"][0])
            running.append(round(after, 4))
            # The new average is momentum * before + (1 - momentum) * batch.
            of_batch.append(round((after - _MOMENTUM * before) / (1 - _MOMENTUM), 4))
            if number in scored:
                scores.append([round(float(s), 4) for s in correct(variables, images, labels)])
        results.append({"running": running, "batch": of_batch, "accuracy": scores})
    return {"seeds": list(seeds), "steps": steps, "momentum": _MOMENTUM, "scored_steps": scored,
            "batch_size": 64, "image_size": _SIZE, "results": results}  # fmt: skip


def draw(numbers: dict[str, Any]) -> Figure:
    """The variance of a channel, of each batch and running, and accuracy with either."""
    with new_figure(9.0, 3.3) as figure:
        left, right = figure.subplots(1, 2)
        first = numbers["results"][0]
        steps = range(1, 1 + len(first["running"]))
        left.plot(steps, first["batch"], color=GREY, linewidth=0.9, label="variance of the batch")
        left.plot(steps, first["running"], color=BLUE, label="running average")
        left.set(xlabel="update", title="one channel of the second layer", ylim=(0, None))
        left.legend()
        scores = 100 * np.array([row["accuracy"] for row in numbers["results"]])
        for n, (color, label) in enumerate(
            ((BLUE, "running averages"), (RED, "statistics of the batch"))
        ):
            values = scores[..., n]
            spread = values.std(0, ddof=1) if len(values) > 1 else None
            right.errorbar(numbers["scored_steps"], values.mean(0), spread, fmt="o-", capsize=3,
                           color=color, label=label)  # fmt: skip
        right.set(xscale="log", xlabel="update", ylabel="test accuracy (%)", ylim=(0, 125))
        right.set_xticks(numbers["scored_steps"], numbers["scored_steps"])
        right.set_yticks(range(0, 101, 20))
        right.minorticks_off()
        right.legend(loc="upper left")
    return figure
