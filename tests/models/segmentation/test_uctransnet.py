"""UCTransNet: attention over channels, one grid of patches for all levels, gates."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.models.segmentation.transformer.uctransnet import (
    ChannelAttention,
    ChannelGate,
    channel_weights,
)


def test_weights_are_of_channels_and_sum_to_one(rng):
    queries = jax.random.normal(rng, (2, 9, 4, 3))
    keys = jax.random.normal(jax.random.key(1), (2, 9, 4, 7))
    compiled = jax.jit(channel_weights)
    weights = np.asarray(compiled(queries, keys))
    assert weights.shape == (2, 4, 3, 7)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
    # Normalized scores: their spread, and so the weights, do not depend on the scale.
    np.testing.assert_allclose(compiled(50.0 * queries, keys), weights, rtol=1e-3)


def test_weights_by_hand():
    # One position, one head: scores are products of two channels and three.
    queries = jnp.array([1.0, -1.0]).reshape(1, 1, 1, 2)
    keys = jnp.array([1.0, 0.0, -1.0]).reshape(1, 1, 1, 3)
    scores = np.outer([1.0, -1.0], [1.0, 0.0, -1.0]) / np.sqrt(3.0)
    scores = scores / np.sqrt(scores.var() + 1e-5)
    expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(channel_weights(queries, keys)[0, 0], expected, rtol=1e-5)


def test_attention_keeps_the_shape_of_each_level(rng):
    levels = [jax.random.normal(rng, (2, 6, channels)) for channels in (2, 4)]
    layer = ChannelAttention(3, partial(nn.Dropout, 0.0, deterministic=True))
    results, variables = jax.eval_shape(
        layer.init_with_output, rng, levels, jnp.concatenate(levels, axis=-1)
    )
    assert [y.shape for y in results] == [(2, 6, 2), (2, 6, 4)]
    shapes = jax.tree.map(jnp.shape, variables["params"])
    assert shapes["key"] == shapes["value"] == {"kernel": (6, 3, 6)}
    assert shapes["query2"] == {"kernel": (4, 3, 4)}


def test_gate_of_zero_weights_halves_what_is_positive(rng):
    skip = jnp.array([2.0, -2.0, 4.0]).reshape(1, 1, 1, 3)
    shapes = jax.eval_shape(ChannelGate().init, rng, skip[..., :2], skip)
    variables = jax.tree.map(jnp.zeros_like, shapes)
    gated = jax.jit(ChannelGate().apply)(variables, skip[..., :2], skip)
    np.testing.assert_array_equal(gated[0, 0, 0], [1.0, 0.0, 2.0])


def test_image_size_below_a_patch_is_one_sentence():
    with pytest.raises(UserError, match="image_size=8"):
        create_model("uctransnet", num_classes=2, image_size=8)
