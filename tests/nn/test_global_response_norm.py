"""Global response normalization, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.nn.global_response_norm import GlobalResponseNorm


def test_values():
    """Norms 5 and 0 have the mean 2.5, so the first channel is scaled by 2 and the other by 0."""
    x = jnp.array([[3.0, 0.0], [4.0, 0.0]]).reshape(1, 2, 1, 2)
    params = {"scale": jnp.array([0.5, 7.0]), "bias": jnp.array([1.0, -1.0])}
    y = GlobalResponseNorm().apply({"params": params}, x)
    np.testing.assert_allclose(y.reshape(2, 2), [[7.0, -1.0], [9.0, -1.0]], rtol=1e-5)


def test_starts_as_the_identity_with_a_finite_gradient(rng):
    x = jnp.array([[3.0, 0.0], [4.0, 0.0]]).reshape(1, 2, 1, 2)
    layer = GlobalResponseNorm()
    variables = layer.init(rng, x)
    np.testing.assert_array_equal(layer.apply(variables, x), x)
    gradient = jax.grad(lambda x: layer.apply(variables, x).sum())(x)
    np.testing.assert_array_equal(gradient, np.ones_like(x))
