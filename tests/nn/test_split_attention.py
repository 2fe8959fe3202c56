"""Split attention: values by hand, and weights of each group's own splits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.choices import Identity
from cnnlab.nn.split_attention import SplitAttention

PIXEL = jnp.asarray([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)


@pytest.mark.parametrize("radix", [1, 2])
def test_one_pixel_by_hand(radix):
    """Two groups of two channels; the second layer's biases alone decide the weights."""
    layer = SplitAttention(4, radix, Identity, groups=2)
    shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), PIXEL))["params"]
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    kernel = params["conv"]["kernel"]
    kernel[1, 1] = np.random.default_rng(0).uniform(0.1, 1.0, kernel.shape[2:])
    scores = np.arange(4.0 * radix, dtype=np.float32)
    params["expand"]["bias"] = scores
    # Each of the convolution's groups sees its own part of the channels.
    sizes = kernel.shape[2:]
    inputs = np.asarray(PIXEL).reshape(-1, sizes[0])
    outputs = kernel[1, 1].reshape(sizes[0], len(inputs), -1)
    splits = np.einsum("gi,igo->go", inputs, outputs).reshape(radix, 4)
    # The scores are in the order of groups, splits, channels.
    weights = np.exp(scores.reshape(2, radix, 2))
    weights = weights / weights.sum(1, keepdims=True) if radix > 1 else weights / (1 + weights)
    expected = (splits * weights.swapaxes(0, 1).reshape(radix, 4)).sum(0)
    y = layer.apply({"params": params}, PIXEL)
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-5)
