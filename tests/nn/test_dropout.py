"""Dropout with a traced rate draws and computes what flax's does with that rate."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.dropout import Dropout, DropoutRate, dropout_rate


class Twice(nn.Module):
    """Two layers of dropout, the second of whole rows, after a layer of weights."""

    layer: type
    rate: float

    @nn.compact
    def __call__(self, x):
        x = self.layer(self.rate, deterministic=False)(nn.Dense(6)(x))
        return self.layer(self.rate, broadcast_dims=(-1,), deterministic=False)(x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_traced_rate(rng, dtype, rate):
    x = jax.random.normal(rng, (64, 6), dtype)
    variables = Twice(nn.Dropout, 0.0).init(rng, x)

    def apply(layer, rate):
        return Twice(layer, rate).apply(variables, x, rngs={"dropout": rng})

    expected = jax.jit(lambda: apply(nn.Dropout, rate))()
    assert jax.jit(lambda: apply(Dropout, rate))().tolist() == expected.tolist()

    @jax.jit
    def apply_traced(rate):
        with dropout_rate(rate):
            return apply(Dropout, DropoutRate(0.5))

    traced = apply_traced(rate)
    assert traced.dtype == expected.dtype
    np.testing.assert_allclose(np.float32(traced), np.float32(expected), rtol=1e-6)


def test_traced_rate_is_nothing_in_evaluation(rng):
    x = jnp.ones((4, 4))

    @jax.jit
    def apply(rate):
        with dropout_rate(rate):
            return Dropout(DropoutRate(0.5), deterministic=True).apply({}, x)

    assert (apply(0.5) == x).all()


def test_traced_rates_of_several_members_draw_apart(rng):
    """Under `vmap`, each rate sets about its own share to zero."""
    rates = jnp.asarray([0.1, 0.5, 0.9])
    x = jnp.ones((100, 100))

    def share(rate):
        with dropout_rate(rate):
            layer = Dropout(DropoutRate(0.5), deterministic=False)
            return (layer.apply({}, x, rngs={"dropout": rng}) == 0).mean()

    np.testing.assert_allclose(jax.vmap(share)(rates), rates, atol=0.02)
