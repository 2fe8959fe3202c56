"""Dropout whose rate can be traced, so that one compiled program serves several rates."""

import contextlib
import contextvars
from collections.abc import Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp


class DropoutRate(float):
    """A rate that comes from a network's option `dropout_rate`.

    Inside the context `dropout_rate`, layers with this rate use the context's value; layers with
    a plain number keep theirs.
    """


_given: contextvars.ContextVar[jax.Array | float | None] = contextvars.ContextVar(
    "dropout_rate", default=None
)


@contextlib.contextmanager
def dropout_rate(rate: jax.Array | float | None) -> Iterator[None]:
    """Context that replaces the value of each `DropoutRate`; None changes nothing."""
    token = _given.set(rate)
    try:
        yield
    finally:
        _given.reset(token)


class Dropout(nn.Dropout):
    """`flax.linen.Dropout`, with the same random draws, that also accepts a `DropoutRate`."""

    @nn.compact
    def __call__(
        self,
        inputs: jax.Array,
        deterministic: bool | None = None,
        rng: jax.Array | None = None,
    ) -> jax.Array:
        rate = _given.get()
        if rate is None or not isinstance(self.rate, DropoutRate):
            return super().__call__(inputs, deterministic, rng)
        if nn.merge_param("deterministic", self.deterministic, deterministic):
            return inputs
        keep = 1.0 - rate
        rng = self.make_rng(self.rng_collection) if rng is None else rng
        shape = list(inputs.shape)
        for dim in self.broadcast_dims:
            shape[dim] = 1
        mask = jax.random.bernoulli(rng, keep, shape)
        # At a rate of 1 no gradient may divide by zero.
        scale = jnp.where(keep > 0, keep, 1.0).astype(inputs.dtype)
        return jnp.where(mask, inputs / scale, jnp.zeros_like(inputs))
