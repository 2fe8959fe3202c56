"""Activations in their forms on CPU: values and derivatives of flax's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.cpu_kernels.activations import gelu, silu
from cnnlab.nn.cpu_kernels.switch import without_cpu_kernels

KINDS = pytest.mark.parametrize(
    ("ours", "theirs"),
    [(gelu, lambda x: nn.gelu(x, approximate=False)), (silu, nn.silu)],
    ids=["gelu", "silu"],
)
# With ends at which an exponential overflows.
POINTS = jnp.concatenate([jnp.linspace(-30, 30, 2001), jnp.array([-1e4, -100, 0, 100, 1e4])])


@KINDS
def test_values_and_two_derivatives(ours, theirs):
    def curves(function):
        slope = jax.grad(function)
        return [jax.vmap(f)(POINTS) for f in (function, slope, jax.grad(slope))]

    for found, expected in zip(curves(ours), curves(theirs), strict=True):
        # Of a slope of 1 at 1e4, as far as 32 bits can tell.
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=4e-6)


@KINDS
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_few_bits_have_flax_s_form(ours, theirs, dtype):
    x = POINTS.astype(dtype)
    assert str(jax.make_jaxpr(ours)(x)) == str(jax.make_jaxpr(theirs)(x))


@KINDS
def test_the_switch(ours, theirs):
    def trace(function):
        return str(jax.make_jaxpr(lambda x: function(x))(POINTS))  # traces of a function are kept

    assert trace(ours) != trace(theirs)
    with without_cpu_kernels():
        assert trace(ours) == trace(theirs)
