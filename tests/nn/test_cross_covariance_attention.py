"""Attention between channels against its definition, one head and channel at a time."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.nn.attention.cross_covariance_attention import CrossCovarianceAttention


def test_channels_attend_to_the_channels_of_their_head():
    rng = np.random.default_rng(0)
    x, qkv, out = rng.normal(size=(1, 5, 4)), rng.normal(size=(4, 12)), rng.normal(size=(4, 4))
    temperature = np.array([0.5, 3.0])
    zeros = np.zeros
    variables = {
        "params": {
            "qkv": {"kernel": qkv, "bias": zeros(12)},
            "out": {"kernel": out, "bias": zeros(4)},
            "temperature": temperature[:, None, None],
        }
    }
    query, key, value = np.split(x[0] @ qkv, 3, axis=-1)
    mixed = np.zeros((5, 4))
    for channel in range(4):
        head = channel // 2
        others = [2 * head, 2 * head + 1]
        cosines = [
            query[:, channel] @ key[:, other]
            / (np.linalg.norm(query[:, channel]) * np.linalg.norm(key[:, other]))
            for other in others
        ]  # fmt: skip
        weights = np.exp(temperature[head] * np.array(cosines))
        mixed[:, channel] = value[:, others] @ (weights / weights.sum())
    layer = CrossCovarianceAttention(2)
    np.testing.assert_allclose(layer.apply(variables, x)[0], mixed @ out, rtol=1e-4, atol=1e-5)


def test_a_channel_of_zeros_has_a_gradient():
    layer = CrossCovarianceAttention(1)
    x = jnp.zeros((1, 3, 2))
    variables = layer.init(jax.random.key(0), x)
    grads = jax.grad(lambda v: layer.apply(v, x).sum())(variables)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
