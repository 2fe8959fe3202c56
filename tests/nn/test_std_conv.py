"""Convolution with standardized kernels."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.nn.conv import Conv
from cnnlab.nn.std_conv import StdConv, standardize_kernel


def test_each_output_has_mean_zero_and_variance_one(rng):
    kernel = 3.0 + 2.0 * jax.random.normal(rng, (3, 3, 4, 5))
    standard = np.asarray(standardize_kernel(kernel)).reshape(-1, 5)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(standard.std(axis=0), 1, rtol=1e-4)
    assert standardize_kernel(kernel.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_the_layer_is_a_convolution_with_the_standardized_kernel(rng):
    x = jax.random.normal(rng, (1, 5, 6, 2))
    layer = StdConv(3, (3, 3), 2, padding=1, use_bias=False)
    variables = jax.jit(layer.init)(rng, x)
    kernel = standardize_kernel(variables["params"]["kernel"])
    plain = Conv(3, (3, 3), 2, padding=1, use_bias=False).apply({"params": {"kernel": kernel}}, x)
    apply = jax.jit(layer.apply)
    np.testing.assert_allclose(apply(variables, x), plain, rtol=1e-6, atol=1e-6)
    scaled = jax.tree.map(lambda k: 5.0 * k + 1.0, variables)
    np.testing.assert_allclose(apply(scaled, x), plain, atol=1e-3)
