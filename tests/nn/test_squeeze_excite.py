"""Squeeze-and-excitation: values by hand, parameters, types."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.squeeze_excite import SqueezeExcite


def test_gate_by_hand():
    """Channel means (1, 3); hidden relu(1 - 3 + 0.5) = 0 and relu(1 + 3) = 4; gates by hand."""
    x = jnp.asarray([[[[0.0, 2.0], [2.0, 4.0]]]])
    params = {
        "reduce": {
            "kernel": jnp.asarray([[1.0, 1.0], [-1.0, 1.0]])[None, None],
            "bias": jnp.asarray([0.5, 0.0]),
        },
        "expand": {
            "kernel": jnp.asarray([[7.0, 7.0], [0.5, -0.25]])[None, None],
            "bias": jnp.asarray([0.0, 1.0]),
        },
    }
    y = SqueezeExcite(2).apply({"params": params}, x)
    gates = 1 / (1 + np.exp(-np.asarray([2.0, 0.0])))
    np.testing.assert_allclose(y, np.asarray(x) * gates, rtol=1e-6)
    # Hard sigmoid: (x + 3) / 6 between -3 and 3.
    y = SqueezeExcite(2, gate=nn.hard_sigmoid).apply({"params": params}, x)
    np.testing.assert_allclose(y, np.asarray(x) * [5 / 6, 0.5], rtol=1e-6)


def test_parameters_and_start():
    variables = jax.jit(SqueezeExcite(3).init)(jax.random.key(0), jnp.ones((1, 4, 4, 512)))
    shapes = jax.tree.map(jnp.shape, variables["params"])
    assert shapes == {
        "reduce": {"kernel": (1, 1, 512, 3), "bias": (3,)},
        "expand": {"kernel": (1, 1, 3, 512), "bias": (512,)},
    }
    # Normal values of variance 2 / fan-out.
    for layer, fan_out in (("reduce", 3), ("expand", 512)):
        std = float(variables["params"][layer]["kernel"].std())
        assert std == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_computes_in_the_type_of_its_input():
    module = SqueezeExcite(2, dtype=jnp.bfloat16)
    images = jnp.ones((1, 2, 2, 4), jnp.bfloat16)
    y, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), images)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
