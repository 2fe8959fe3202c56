"""Multilayer perceptron: the dense network that convolutional ones are measured against.

As in "Dive into Deep Learning" (d2l.ai), sec. 5.2: one hidden layer of 256 units with ReLU. As a
backbone it gives one feature map of 1x1 pixels. Deviations: none.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import DenseHead
from cnnlab.nn.choices import make_activation
from cnnlab.nn.dropout import Dropout


class MLP(nn.Module):
    """Dense hidden layers on the flattened image.

    Attributes:
      hidden: widths of the hidden layers.
      activation: activation after each of them.
      dropout_rate: share of each layer's output that training sets to zero.
    """

    hidden: Sequence[int] = (256,)
    activation: str = "relu"
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        """One map without extent: 0 says that it covers the whole image, whatever its size."""
        return (0,)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to one map [batch, 1, 1, hidden[-1]]."""
        activation = make_activation(self.activation)
        x = images.reshape(images.shape[0], -1)
        for number, width in enumerate(self.hidden, start=1):
            x = activation(nn.Dense(width, dtype=self.dtype, name=f"dense{number}")(x))
            x = Dropout(self.dropout_rate, deterministic=not train)(x)
        return (x[:, None, None, :],)


VARIANTS = {"mlp": {"hidden": (256,)}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    hidden: Sequence[int],
    activation: str = "relu",
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    return Classifier(
        backbone=MLP(hidden, activation, dropout_rate, dtype),
        head=DenseHead(num_classes, dtype=dtype),
    )
