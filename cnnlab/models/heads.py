"""Heads: from feature maps to logits."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import make_activation


class LinearHead(nn.Module):
    """Global average pooling of the coarsest feature map, dropout, one linear layer.

    Attributes:
      num_classes: width of the logits.
      dropout_rate: share of the pooled features that training sets to zero.
    """

    num_classes: int
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        x = features[-1].mean(axis=(1, 2))
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="logits")(x)


class DenseHead(nn.Module):
    """Flattens the coarsest feature map; dense layers with dropout; logits.

    Attributes:
      num_classes: width of the logits.
      hidden: widths of the layers before the logits.
      activation: after each of them.
      dropout_rate: share of each hidden layer's output that training sets to zero.
    """

    num_classes: int
    hidden: Sequence[int] = ()
    activation: str = "relu"
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        activation = make_activation(self.activation)
        x = features[-1].reshape(features[-1].shape[0], -1)
        for number, width in enumerate(self.hidden, start=1):
            x = activation(nn.Dense(width, dtype=self.dtype, name=f"dense{number}")(x))
            x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="logits")(x)
