"""Sizes against those that lax computes, and utilisation against gradients."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.analysis import pixel_utilisation
from cnnlab.analysis.shapes import output_size, same_padding, transposed_output_size
from cnnlab.errors import UserError
from cnnlab.nn.conv_transpose import conv_transpose
from cnnlab.nn.pool import max_pool_ceil


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_output_size_equals_lax(kernel):
    def shape(size, stride, sides, dilation):
        def convolve(x, k):
            return lax.conv_general_dilated(x, k, (stride,), [sides], rhs_dilation=(dilation,))

        x, k = (jax.ShapeDtypeStruct((1, 1, n), jnp.float32) for n in (size, kernel))
        return jax.eval_shape(convolve, x, k).shape[-1]

    for size, stride, before, after, dilation in itertools.product(
        (7, 8), (1, 2, 3), (0, 2), (0, 1), (1, 2)
    ):
        if dilation * (kernel - 1) + 1 <= size + before + after:
            expected = shape(size, stride, (before, after), dilation)
            assert output_size(size, kernel, stride, (before, after), dilation) == expected


def test_sizes_of_known_networks():
    """AlexNet's and ResNet's stems, and GoogLeNet's poolings in torchvision."""
    assert output_size(227, 11, 4) == 55
    assert output_size(224, 7, 2, 3) == 112
    assert [output_size(n, 3, 2, ceil=True) for n in (112, 56, 28)] == [56, 28, 14]
    assert output_size(14, 2, 2, ceil=True) == 7


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (2, 2), (3, 3), (2, 3)])
def test_ceil_equals_the_pooling_layer(window, stride):
    for size in range(window, 12):
        x = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
        y = jax.eval_shape(lambda x: max_pool_ceil(x, window, stride), x)
        # The layer pads for a last window whatever it sees; the formula wants a pixel in it.
        if (size - window) % stride and stride <= window:
            assert output_size(size, window, stride, ceil=True) == y.shape[1]
        assert output_size(size, window, stride) == (size - window) // stride + 1


def test_same_padding_keeps_the_size():
    for size, kernel, dilation in itertools.product((7, 10), (1, 2, 3, 4, 5), (1, 2)):
        assert output_size(size, kernel, 1, same_padding(kernel, dilation), dilation) == size
    assert same_padding(3) == (1, 1) and same_padding(4) == (1, 2)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"), [(2, 2, 0, 0), (4, 2, 1, 0), (3, 3, 1, 2)]
)
def test_transposed_size_equals_the_layer(kernel, stride, padding, more):
    shapes = [(1, 5, 5, 1), (kernel, kernel, 1, 1)]
    x, k = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    y = jax.eval_shape(lambda x, k: conv_transpose(x, k, stride, padding, more), x, k)
    assert transposed_output_size(5, kernel, stride, padding, more) == y.shape[1]
    if not more:
        assert output_size(y.shape[1], kernel, stride, padding) == 5


def test_a_kernel_that_does_not_fit():
    with pytest.raises(UserError, match=r"spans 5 pixels does not fit into 3 .* needs 1 more"):
        output_size(3, 3, padding=(1, 0), dilation=2)


def test_utilisation_of_the_book():
    """d2l.ai, sec. 7.3, fig. 7.3.1: kernels of 1x1, 2x2 and 3x3 on 5x5 pixels."""
    assert pixel_utilisation((5, 5), (1, 1)).tolist() == [[1] * 5] * 5
    assert pixel_utilisation((5, 5), (2, 2))[:2].tolist() == [[1, 2, 2, 2, 1], [2, 4, 4, 4, 2]]
    assert pixel_utilisation((5, 5), (3, 3)).tolist() == [
        [1, 2, 3, 2, 1],
        [2, 4, 6, 4, 2],
        [3, 6, 9, 6, 3],
        [2, 4, 6, 4, 2],
        [1, 2, 3, 2, 1],
    ]


def test_utilisation_is_the_gradient_of_ones():
    """A kernel of ones gives each pixel a gradient of 1 for each window that it is in."""
    cases = [
        ((3, 3), (1, 1), (1, 1), (1, 1)),
        ((2, 3), (3, 2), (0, 1), (1, 1)),
        ((3, 2), (1, 2), (2, 0), (2, 3)),
    ]

    def total(x, kernel, stride, padding, dilation):
        sides = [(p, p) for p in padding]
        return lax.conv_general_dilated(
            x[None, None], jnp.ones((1, 1, *kernel)), stride, sides, rhs_dilation=dilation
        ).sum()

    grads = jax.jit(lambda x: [jax.grad(total)(x, *case) for case in cases])(jnp.zeros((7, 8)))
    for (kernel, stride, padding, dilation), grad in zip(cases, grads, strict=True):
        counts = pixel_utilisation(
            (7, 8), kernel, stride=stride, padding=padding, dilation=dilation
        )
        np.testing.assert_array_equal(grad, counts)
