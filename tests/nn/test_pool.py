"""Max pooling against flax's, forward and backward; means at edges."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import jax.test_util
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
    ((2, 9, 8, 3), (3, 3), (2, 2), "VALID"),
    ((2, 7, 8, 3), (3, 3), (1, 1), "SAME"),
    ((2, 8, 8, 3), (3, 3), (2, 2), ((0, 1), (0, 1))),  # a last window reaches over the edge
    ((2, 11, 9, 2), (2, 3), (3, 2), "VALID"),  # rows between the windows belong to none
    ((1, 12, 12, 2), (5, 5), (2, 1), ((2, 2), (0, 4))),
    ((1, 9, 9, 1), (7, 7), (1, 1), "VALID"),  # more values than the form takes
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


@pytest.mark.parametrize(("window", "strides"), [((3, 3), (2, 2)), ((3, 3), (1, 1))])
def test_the_first_of_equal_values_has_the_gradient(window, strides):
    """Where windows overlap, as XLA has it: maps after ReLU are full of equal zeros."""
    values = np.random.default_rng(1).integers(0, 3, (2, 9, 10, 4))

    def run(pool):
        def loss(x):
            y = pool(x, window, strides=strides, padding=((1, 1), (1, 1)))
            return (y * jnp.cos(jnp.arange(y.size).reshape(y.shape))).sum()

        return jax.grad(loss)(jnp.asarray(values, jnp.float32))

    np.testing.assert_allclose(run(max_pool), run(nn.max_pool), atol=1e-6)


def test_overlapping_windows_have_every_derivative():
    x = jnp.asarray(np.random.default_rng(2).normal(size=(1, 6, 6, 2)), jnp.float32)

    def squares(x):
        return (max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1))) ** 2).sum()

    jax.test_util.check_grads(squares, (x,), order=2, modes=["fwd", "rev"], eps=1e-3)
    hessian = jax.hessian(squares)(x).reshape(x.size, x.size)
    picked = np.diag(hessian) / 2  # how many windows an element is the largest of
    np.testing.assert_array_equal(hessian, np.diag(picked * 2))
    assert picked.sum() == 3 * 3 * 2
    stacked = jnp.stack([x, -x])
    np.testing.assert_array_equal(
        jax.vmap(jax.grad(squares))(stacked), jnp.stack([jax.grad(squares)(v) for v in stacked])
    )


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
