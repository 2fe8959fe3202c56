"""Dropout whose rate may be traced, so that networks of several rates are one compiled program."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.tracing import is_traced


class Dropout(nn.Dropout):
    """Does what `flax.linen.Dropout` does, with the same draws; `rate` may be traced."""

    @nn.compact
    def __call__(
        self,
        inputs: jax.Array,
        deterministic: bool | None = None,
        rng: jax.Array | None = None,
    ) -> jax.Array:
        if not is_traced(self.rate):
            return super().__call__(inputs, deterministic, rng)
        if nn.merge_param("deterministic", self.deterministic, deterministic):
            return inputs
        keep = 1.0 - self.rate
        rng = self.make_rng(self.rng_collection) if rng is None else rng
        shape = list(inputs.shape)
        for dim in self.broadcast_dims:
            shape[dim] = 1
        mask = jax.random.bernoulli(rng, keep, shape)
        # At a rate of 1 no gradient may divide by zero.
        scale = jnp.where(keep > 0, keep, 1.0).astype(inputs.dtype)
        return jnp.where(mask, inputs / scale, jnp.zeros_like(inputs))
