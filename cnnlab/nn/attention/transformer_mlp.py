"""The dense network that a transformer applies to each token (Vaswani et al. 2017, sec. 3.3)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import ACTIVATIONS, Identity


class TransformerMlp(nn.Module):
    """Dense, GELU, dense (Dosovitskiy et al. 2020, arXiv:2010.11929, sec. 3.1).

    Attributes:
      hidden: width between the two layers.
      dropout: builds a dropout layer, applied after each; train or eval mode is bound.
      kernel_init: initializer of both kernels.
    """

    hidden: int
    dropout: Callable[[], nn.Module] = Identity
    kernel_init: nn.initializers.Initializer = nn.initializers.xavier_uniform()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., c] to the same shape, each position independently."""

        def dense(features: int, name: str) -> nn.Module:
            return nn.Dense(features, kernel_init=self.kernel_init, dtype=self.dtype, name=name)

        y = ACTIVATIONS["gelu"](dense(self.hidden, "expand")(x))
        return self.dropout()(dense(x.shape[-1], "project")(self.dropout()(y)))
