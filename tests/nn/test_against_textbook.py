"""The layers give the numbers of the textbook's loops; each test compiles one program."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.analysis import textbook
from cnnlab.nn.choices import make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.conv_transpose import ConvTranspose
from cnnlab.nn.pool import avg_pool, max_pool

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _start_again():
    """The same numbers in every order of the tests: in a norm, close ones cost digits."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def assert_close(found, expected, case=""):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5, err_msg=str(case))


# Of few input channels and of many, which CPUs compute in two ways; options of both sides.
CONVS = [
    (2, {"strides": 1, "padding": "VALID"}, {}),
    (2, {"strides": (2, 3), "padding": ((1, 1), (2, 2))}, {"stride": (2, 3), "padding": (1, 2)}),
    (9, {"strides": 1, "padding": 1}, {"padding": 1}),
    (9, {"strides": (2, 1), "padding": 1}, {"stride": (2, 1), "padding": 1}),
    (2, {"strides": 1, "padding": "REFLECT"}, {"padding": 1, "mode": "reflect"}),
]


def test_convolutions():
    layers = [Conv(3, (3, 3), **options) for _, options, _ in CONVS]
    images = [normal(2, 7, 8, inputs) for inputs, _, _ in CONVS]
    kernels = [normal(3, 3, inputs, 3) for inputs, _, _ in CONVS]
    bias = normal(3)

    @jax.jit
    def run(images, kernels, bias):
        return [
            layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)
            for layer, x, kernel in zip(layers, images, kernels, strict=True)
        ]

    found = run(images, kernels, bias)
    for y, x, kernel, (*_, options) in zip(found, images, kernels, CONVS, strict=True):
        for result, image in zip(y, x, strict=True):
            expected = textbook.cross_correlate_channels(image, kernel, bias=bias, **options)
            assert_close(result, expected, options)


def test_convolution_of_an_image_continued_by_its_nearest_pixels():
    """What flax has no name for: `jnp.pad` in the mode `edge`, before an unpadded convolution."""
    x, kernel = normal(1, 5, 6, 1), normal(3, 3, 1, 2)
    layer = Conv(2, (3, 3), padding="VALID", use_bias=False)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    y = layer.apply({"params": {"kernel": kernel}}, padded)
    expected = textbook.cross_correlate_channels(x[0], kernel, padding=1, mode="edge")
    assert_close(y[0], expected)


POOLS = [
    ((2, 2), (2, 2), (0, 0)),  # on CPU, a form of its own
    ((3, 3), (2, 2), (1, 1)),
    ((2, 3), (1, 2), (0, 1)),
    ((3, 2), None, (0, 0)),
]


def test_pooling():
    x = normal(2, 7, 9, 2)
    kinds = {"max": max_pool, "avg": avg_pool}

    @jax.jit
    def run(x):
        return [
            function(x, window, stride, [(p, p) for p in padding] if any(padding) else "VALID")
            for function in kinds.values()
            for window, stride, padding in POOLS
        ]

    cases = [(kind, *form) for kind in kinds for form in POOLS]
    for (kind, window, stride, padding), found in zip(cases, run(x), strict=True):
        for example, channel in np.ndindex(2, 2):
            expected = textbook.pool(
                x[example, :, :, channel], window, kind=kind, stride=stride or 1, padding=padding
            )
            assert_close(found[example, :, :, channel], expected, (kind, window))


def test_transposed_convolutions():
    forms = [(2, 2, 0, 0), (3, 2, 1, 1), (4, 2, 1, 0), (3, 1, 1, 0), (3, 3, 0, 2), (5, 2, 2, 1)]
    names = ("kernel", "stride", "padding", "output_padding")
    layers = [ConvTranspose(3, **dict(zip(names, form, strict=True))) for form in forms]
    kernels = [normal(form[0], form[0], 2, 3) for form in forms]
    x, bias = normal(2, 4, 5, 2), normal(3)

    @jax.jit
    def run(x, kernels, bias):
        return [
            layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)
            for layer, kernel in zip(layers, kernels, strict=True)
        ]

    for form, kernel, y in zip(forms, kernels, run(x, kernels, bias), strict=True):
        options = dict(zip(names[1:], form[1:], strict=True))
        for result, image in zip(y, x, strict=True):
            expected = textbook.transposed_convolve_channels(image, kernel, **options) + bias
            assert_close(result, expected, form)


@pytest.mark.parametrize("place", ["before", "after"])
def test_convolution_with_batch_norm_before_or_after_the_activation(place):
    """Training with the batch's statistics, which the running ones follow; inference with those."""
    x, kernel = normal(3, 5, 6, 2), normal(3, 3, 2, 4)
    scale, shift, mean = normal(4), normal(4), normal(4)
    variance = normal(4) ** 2
    variables = {
        "params": {"conv": {"kernel": kernel}, "norm": {"scale": scale, "bias": shift}},
        "batch_stats": {"norm": {"mean": mean, "var": variance}},
    }

    def layer(train):
        norm = make_norm("batch", train=train, momentum=0.8)
        return ConvNormAct(4, norm=norm, norm_place=place)

    @jax.jit
    def run(variables, x):
        trained = layer(True).apply(variables, x, mutable=["batch_stats"])
        return *trained, layer(False).apply(variables, x)

    trained, updates, inferred = run(variables, x)
    y = np.stack([textbook.cross_correlate_channels(image, kernel, padding=1) for image in x])

    def relu(y):
        return np.maximum(y, 0)

    y = y if place == "before" else relu(y)
    last = relu if place == "before" else (lambda y: y)
    expected, batch_mean, batch_variance = textbook.batch_norm(y, scale, shift)
    assert_close(trained, last(expected))
    running = updates["batch_stats"]["norm"]
    assert_close(running["mean"], textbook.moving_average(mean, batch_mean, 0.8))
    assert_close(running["var"], textbook.moving_average(variance, batch_variance, 0.8))
    expected = textbook.batch_norm_inference(y, mean, variance, scale, shift)
    assert_close(inferred, last(expected))


@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 4, 6)])
def test_norms_of_dense_layers_and_of_maps(shape):
    x, scale, shift = normal(*shape), normal(6), normal(6)
    own = {"scale": scale, "bias": shift}
    stats = {"mean": np.zeros(6, np.float32), "var": np.ones(6, np.float32)}

    @jax.jit
    def run(x, own, stats):
        batch = make_norm("batch", train=True)()
        group = make_norm("group", train=True, groups=3)()
        return (
            batch.apply({"params": own, "batch_stats": stats}, x, mutable=["batch_stats"])[0],
            make_norm("layer", train=True, epsilon=1e-5)().apply({"params": own}, x),
            group.apply({"params": {"group": own}}, x),
        )

    batch, layer, group = run(x, own, stats)
    assert_close(batch, textbook.batch_norm(x, scale, shift)[0])
    assert_close(layer, textbook.layer_norm(x, scale, shift))
    assert_close(group, textbook.group_norm(x, scale, shift, groups=3))


def test_one_by_one_convolution_is_a_dense_layer():
    x, kernel = normal(1, 3, 4, 9), normal(9, 5)
    dense = nn.Dense(5, use_bias=False).apply({"params": {"kernel": kernel}}, x)
    assert_close(dense[0], textbook.cross_correlate_channels(x[0], kernel[None, None]))
