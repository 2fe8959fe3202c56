"""An experiment outside of cnnlab: it registers a network, data, a loss and a metric.

Tests copy this file to a folder of its own and name it to the commands.
"""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

import cnnlab
from cnnlab.config import Config, apply_overrides


class TinyNet(nn.Module):
    num_classes: int
    width: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.relu(nn.Conv(self.width, (3, 3), dtype=self.dtype, name="conv1")(images))
        x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Conv(2 * self.width, (3, 3), dtype=self.dtype, name="conv2")(x))
        x = nn.Dropout(0.1, deterministic=not train)(x.mean(axis=(1, 2)))
        return nn.Dense(self.num_classes, name="logits")(x)


@cnnlab.register_model("tinynet")
def tinynet(*, num_classes, dtype, width=8):
    """A network of two convolutions."""
    return TinyNet(num_classes, width, dtype)


@cnnlab.register_dataset("stripes")
def stripes(config):
    """Stripes along rows or columns, with noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    images = np.zeros((400, 12, 12, 1), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[..., 0] = 120 * (np.indices((12, 12))[label] % 2) + rng.integers(0, 120, (12, 12))
    return cnnlab.data.from_arrays(images, labels, ["rows", "columns"])


@cnnlab.register_loss("squared_error")
def squared_error(logits, targets, *, scale=1.0):
    return scale * ((jnp.tanh(logits) - targets) ** 2).sum(-1)


@cnnlab.register_metric("worst_recall")
@dataclasses.dataclass(frozen=True)
class WorstRecall:
    """Recall of the class that is recognised worst."""

    num_classes: int

    def sums(self, logits, batch):
        one_hot = jnp.eye(self.num_classes)[batch["label"]] * batch["mask"][:, None]
        hits = one_hot * (logits.argmax(-1) == batch["label"])[:, None]
        return {"hits": hits.sum(0), "count": one_hot.sum(0)}

    def finalize(self, sums):
        return float(np.min(sums["hits"] / np.maximum(sums["count"], 1)))


def get_config():
    return apply_overrides(
        Config(),
        {
            "data.name": "stripes",
            "model.name": "tinynet",
            "loss.terms": {"cross_entropy": 1.0, "squared_error": 0.5},
            "evaluation.metric": "worst_recall",
            "evaluation.every_epochs": 1.0,
            "batch_size": 32,
            "epochs": 3.0,
        },
    )


def sweep():
    return {"model.options.width": [4, 6]}
