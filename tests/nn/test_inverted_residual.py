"""The inverted residual block: layers, sums, dropped branches; rounding of widths; strides."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.inverted_residual import (
    FusedInvertedResidual,
    InvertedResidual,
    level_strides,
    round_channels,
)


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(1.0, 8), (8.8, 8), (9.0, 16), (12.0, 16), (16.0, 16), (18.0, 24), (30.8, 32)],
)
def test_round_channels(channels, rounded):
    """18 is nearer to 16, but that is more than a tenth below it; 9 and 8 likewise."""
    assert round_channels(channels) == rounded


def test_level_strides():
    assert level_strides(2, [1, 2, 1, 2]) == (2, 4, 8, 8)
    assert level_strides(1, [1]) == (1, 1)


def block(features, expanded, **options):
    conv = partial(ConvNormAct, activation=nn.relu6)
    return InvertedResidual(features, expanded, conv, **options)


@pytest.mark.parametrize(
    ("module", "layers", "shape"),
    [
        (block(6, 6), {"depthwise", "project"}, (2, 9, 7, 6)),
        (block(6, 24), {"expand", "depthwise", "project"}, (2, 9, 7, 6)),
        (block(5, 24, stride=2), {"expand", "depthwise", "project"}, (2, 5, 4, 5)),
        (
            block(6, 24, kernel=5, squeezed=2),
            {"expand", "depthwise", "squeeze_excite", "project"},
            (2, 9, 7, 6),
        ),
    ],
)
def test_block_layers(module, layers, shape):
    y, variables = jax.eval_shape(
        module.init_with_output, jax.random.key(0), jnp.ones((2, 9, 7, 6))
    )
    assert y.shape == shape
    params = variables["params"]
    assert set(params) == layers
    kernel = (module.kernel, module.kernel, 1, module.expanded)
    assert params["depthwise"]["conv"]["kernel"].shape == kernel


def test_fused_block_has_a_dense_kernel():
    """And one convolution where it does not expand (Tan & Le 2021, fig. 2 and table 4)."""
    x = jax.random.normal(jax.random.key(1), (2, 9, 7, 6))
    expanding = FusedInvertedResidual(5, 24, ConvNormAct, 3, 2)
    y, variables = jax.eval_shape(expanding.init_with_output, jax.random.key(0), x)
    assert y.shape == (2, 5, 4, 5)
    assert variables["params"]["expand"]["conv"]["kernel"].shape == (3, 3, 6, 24)
    assert variables["params"]["project"]["conv"]["kernel"].shape == (1, 1, 24, 5)
    module = FusedInvertedResidual(6, 6, ConvNormAct)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    assert set(variables["params"]) == {"conv"}
    silent = jax.tree.map(jnp.zeros_like, variables)
    np.testing.assert_array_equal(jax.jit(module.apply)(silent, x), x)


@pytest.mark.parametrize(
    ("features", "stride", "identity"), [(6, 1, True), (5, 1, False), (6, 2, False)]
)
def test_input_is_added_where_shapes_agree(features, stride, identity):
    """With a silent projection, the output is the input or nothing."""
    x = jax.random.normal(jax.random.key(1), (1, 4, 4, 6))
    module = block(features, 12, stride=stride)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    y = jax.jit(module.apply)(jax.tree.map(jnp.zeros_like, shapes), x)
    np.testing.assert_array_equal(y, x if identity else jnp.zeros_like(y))


def test_last_convolution_is_linear():
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 6))
    y, _ = jax.jit(block(5, 12).init_with_output)(jax.random.key(0), x)
    assert (y < 0).any()
