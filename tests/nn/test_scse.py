"""Spatial and channel squeeze-and-excitation: values by hand."""

import jax.numpy as jnp
import numpy as np

from cnnlab.nn.scse import SpatialChannelSqueezeExcite


def test_both_gates_by_hand():
    """Channel means (1, 3); hidden relu(1 - 3 + 2.5) = 0.5; each position has a gate of its own."""
    x = np.asarray([[[[0.0, 2.0], [2.0, 4.0]]]], np.float32)
    params = {
        "channel": {
            "reduce": {"kernel": jnp.asarray([[[[1.0], [-1.0]]]]), "bias": jnp.asarray([2.5])},
            "expand": {"kernel": jnp.asarray([[[[2.0, -4.0]]]]), "bias": jnp.asarray([0.0, 3.0])},
        },
        "spatial": {"kernel": jnp.asarray([[[[1.0], [0.5]]]]), "bias": jnp.asarray([-1.0])},
    }
    y = SpatialChannelSqueezeExcite().apply({"params": params}, x)
    channels, positions = sigmoid([1.0, 1.0]), sigmoid([[0.0], [3.0]])
    np.testing.assert_allclose(y, x * channels + x * positions, rtol=1e-6)


def sigmoid(values):
    return 1 / (1 + np.exp(-np.asarray(values)))
