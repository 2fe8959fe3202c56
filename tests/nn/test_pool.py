"""Max pooling against flax's, forward and backward; means at edges."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.pool import avg_pool_ceil, avg_pool_padded, blur_pool, max_pool

CASES = [
    ((2, 8, 8, 3), (2, 2), (2, 2), "VALID"),
    ((2, 9, 7, 3), (2, 2), (2, 2), "VALID"),  # a row and a column are left over
    ((1, 9, 10, 2), (3, 2), (3, 2), "VALID"),
    ((2, 9, 9, 3), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((2, 9, 9, 3), (2, 2), (2, 2), "SAME"),
    ((2, 5, 5, 3), (2, 2), None, "VALID"),
]


@pytest.mark.parametrize(("shape", "window", "strides", "padding"), CASES)
def test_equals_flax(shape, window, strides, padding):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)

    def run(pool):
        def loss(x):
            y = pool(x, window, strides=strides, padding=padding)
            return (y * jnp.cos(jnp.arange(y.size).reshape(y.shape))).sum(), y

        return jax.jit(jax.grad(loss, has_aux=True))(x)

    for one, other in zip(run(max_pool), run(nn.max_pool), strict=True):
        np.testing.assert_array_equal(one, other)


def test_ties_share_the_gradient():
    grad = jax.grad(lambda x: max_pool(x, (2, 2), strides=(2, 2)).sum())(jnp.ones((1, 2, 2, 1)))
    assert grad.sum() == 1
    assert (grad > 0).all()


def test_means_are_of_the_pixels_inside_the_map():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    means = avg_pool_ceil(x, 2, 2)[0, ..., 0]
    np.testing.assert_allclose(means, [[2.0, 3.5], [6.5, 8.0]])
    assert avg_pool_ceil(x, 2, 1).shape == x.shape
    # Dilated, the window at (0, 0) has the corners, and that at (1, 1) only itself.
    means = avg_pool_ceil(x, 2, 1, dilation=2)[0, ..., 0]
    np.testing.assert_allclose(means[:2, :2], [[4.0, 4.0], [4.0, 4.0]])
    np.testing.assert_allclose(means[2, 2], 8.0)


def test_zeros_around_the_map_count_in_padded_means():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    means = avg_pool_padded(x, 3, 2)[0, ..., 0]
    np.testing.assert_allclose(means * 9.0, [[8.0, 12.0], [20.0, 24.0]], rtol=1e-6)
    # Dilated, the window at (0, 0) has the corners, and that at (1, 1) only itself.
    means = avg_pool_padded(x, 3, 1, dilation=2)[0, ..., 0]
    np.testing.assert_allclose(means[:2, :2] * 9.0, [[16.0, 8.0], [8.0, 4.0]], rtol=1e-6)


def test_blurred_pixels_are_weighted_means():
    blurred = blur_pool(jnp.ones((1, 4, 5, 2)))[0, ..., 0]
    # A border of zeros has a quarter of the weight on each side that it touches.
    np.testing.assert_allclose(blurred, np.outer([0.75, 1.0], [0.75, 1.0, 0.75]))
    impulse = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1].set(16.0)
    np.testing.assert_allclose(blur_pool(impulse)[0, ..., 0], [[1.0, 1.0], [1.0, 1.0]])
