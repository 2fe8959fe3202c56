"""Global response normalization (Woo et al. 2023, "ConvNeXt V2", arXiv:2301.00808, sec. 3.4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class GlobalResponseNorm(nn.Module):
    """Scales each channel by its norm over the image, relative to the mean of all channels' norms.

    y = x + bias + scale * x * n / (mean of n + epsilon), with n the Euclidean norm of a channel
    over all positions. Scale and bias start at zero, so that the layer starts as the identity.
    Norms are computed in float32.

    Attributes:
      epsilon: added to the mean of the norms.
    """

    epsilon: float = 1e-6
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        zeros = nn.initializers.zeros_init()
        scale = self.param("scale", zeros, (x.shape[-1],)).astype(self.dtype)
        bias = self.param("bias", zeros, (x.shape[-1],)).astype(self.dtype)
        squares = jnp.square(x.astype(jnp.float32)).sum(axis=(1, 2), keepdims=True)
        # The root has no gradient at 0, which a channel that an activation silences would meet.
        positive = squares > 0
        norms = jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)
        relative = norms / (norms.mean(axis=-1, keepdims=True) + self.epsilon)
        return x + bias + scale * x * relative.astype(self.dtype)
