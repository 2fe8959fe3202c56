"""The block of a vision transformer: attention and dense layers, each with a norm before it."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.attention.self_attention import SelfAttention
from cnnlab.nn.attention.transformer_mlp import TransformerMlp
from cnnlab.nn.choices import Identity


class TransformerBlock(nn.Module):
    """Two residual branches: norm and attention, then norm and dense layers.

    Dosovitskiy et al. 2020, arXiv:2010.11929, eqs. 2 and 3.

    Attributes:
      heads: number of attention heads; must divide the channels.
      hidden: width between the dense layers.
      epsilon: added to the variance in the norms.
      layer_scale: initial value of a trainable scale for each channel of both branches (Touvron et
        al. 2021, arXiv:2103.17239); None adds no scale.
      dropout: builds a dropout layer, applied after the attention and after each dense layer.
      drop_path: builds stochastic depth for a branch. Both have train or eval mode bound.
    """

    heads: int
    hidden: int
    epsilon: float = 1e-6
    layer_scale: float | None = None
    dropout: Callable[[], nn.Module] = Identity
    drop_path: Callable[[], nn.Module] = Identity
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, positions, c] to the same shape."""

        def norm(x: jax.Array, name: str) -> jax.Array:
            return nn.LayerNorm(self.epsilon, dtype=self.dtype, name=name)(x)

        def scaled(x: jax.Array, name: str) -> jax.Array:
            if self.layer_scale is None:
                return x
            init = nn.initializers.constant(self.layer_scale)
            return x * self.param(name, init, (x.shape[-1],)).astype(self.dtype)

        attention = SelfAttention(self.heads, dtype=self.dtype, name="attention")
        y = self.dropout()(attention(norm(x, "attention_norm")))
        x = x + self.drop_path()(scaled(y, "attention_scale"))
        mlp = TransformerMlp(self.hidden, self.dropout, dtype=self.dtype, name="mlp")
        return x + self.drop_path()(scaled(mlp(norm(x, "mlp_norm")), "mlp_scale"))
