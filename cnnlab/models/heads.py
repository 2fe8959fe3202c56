"""Heads: from feature maps to logits."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import make_activation
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import adaptive_avg_pool

_default_init = nn.initializers.lecun_normal()


class LinearHead(nn.Module):
    """Global average pooling of the coarsest feature map, dropout, one linear layer.

    Attributes:
      num_classes: width of the logits.
      dropout_rate: share of the pooled features that training sets to zero.
      layer_norm_epsilon: epsilon of a layer norm of the pooled features, as in ConvNeXt; None omits
        the norm.
      kernel_init: initializer of the linear layer.
    """

    num_classes: int
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    layer_norm_epsilon: float | None = None
    kernel_init: nn.initializers.Initializer = _default_init

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        x = features[-1].mean(axis=(1, 2))
        if self.layer_norm_epsilon is not None:
            x = nn.LayerNorm(self.layer_norm_epsilon, dtype=self.dtype, name="norm")(x)
        x = Dropout(self.dropout_rate, deterministic=not train)(x)
        return nn.Dense(
            self.num_classes, kernel_init=self.kernel_init, dtype=self.dtype, name="logits"
        )(x)


class DenseHead(nn.Module):
    """Flattens the coarsest feature map; dense layers with dropout; logits.

    Attributes:
      num_classes: width of the logits.
      hidden: widths of the layers before the logits.
      activation: activation after each of them.
      dropout_rate: share of each hidden layer's output that training sets to zero.
      pool_size: height and width to which the map is averaged before it is flattened; None flattens
        the map itself, which ties the parameters to one image size.
      kernel_init: initializer of all layers.
    """

    num_classes: int
    hidden: Sequence[int] = ()
    activation: str = "relu"
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    pool_size: int | None = None
    kernel_init: nn.initializers.Initializer = _default_init

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, height, width, c], to logits [batch, num_classes]."""
        activation = make_activation(self.activation)
        dense = partial(nn.Dense, kernel_init=self.kernel_init, dtype=self.dtype)
        x = features[-1]
        if self.pool_size is not None:
            x = adaptive_avg_pool(x, self.pool_size)
        x = x.reshape(x.shape[0], -1)
        for number, width in enumerate(self.hidden, start=1):
            x = activation(dense(width, name=f"dense{number}")(x))
            x = Dropout(self.dropout_rate, deterministic=not train)(x)
        return dense(self.num_classes, name="logits")(x)
