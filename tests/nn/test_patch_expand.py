"""Channels that become positions."""

import jax.numpy as jnp
import numpy as np

from cnnlab.nn.attention.patch_expand import PatchExpand


def test_channels_become_a_square_of_positions():
    kernel = jnp.asarray(np.arange(1.0, 9.0)[None])
    variables = {
        "params": {
            "expand": {"kernel": kernel},
            "norm": {"scale": jnp.ones(2), "bias": jnp.zeros(2)},
        }
    }
    x = jnp.array([1.0, -1.0]).reshape(1, 1, 2, 1)
    layer = PatchExpand(2, epsilon=1e-9)
    y = layer.apply(variables, x)
    assert y.shape == (1, 2, 4, 2)
    # Of two channels the norm leaves the order: rising where x is positive.
    np.testing.assert_allclose(y[0, :, :2, 1], 1.0, rtol=1e-5)
    np.testing.assert_allclose(y[0, :, 2:, 1], -1.0, rtol=1e-5)
