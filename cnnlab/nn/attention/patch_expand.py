"""Upsampling by a dense layer whose channels become positions."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class PatchExpand(nn.Module):
    """Upsamples a map: dense layer, channels rearranged into a square of positions, layer norm.

    Cao et al. 2021, arXiv:2105.05537, sec. 3.5.

    Attributes:
      features: channels of the output.
      scale: factor by which height and width grow.
      epsilon: added to the variance in the layer norm.
      kernel_init: initializer of the dense kernel; the layer has no bias.
    """

    features: int
    scale: int = 2
    epsilon: float = 1e-5
    kernel_init: nn.initializers.Initializer = nn.initializers.xavier_uniform()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height * scale, width * scale, features]."""
        batch, height, width, _ = x.shape
        x = nn.Dense(
            self.features * self.scale**2,
            use_bias=False,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="expand",
        )(x)
        x = x.reshape(batch, height, width, self.scale, self.scale, self.features)
        x = x.transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, height * self.scale, width * self.scale, self.features)
        return nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype, name="norm")(x)
