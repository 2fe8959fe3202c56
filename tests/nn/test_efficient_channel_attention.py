"""Efficient channel attention: values by hand and the length of its kernel."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.efficient_channel_attention import EfficientChannelAttention, kernel_size


def test_gate_by_hand():
    """Channel means (1, 3, -2); each gate is of its neighbours' weighted sum, zeros outside."""
    x = jnp.asarray([[[[0.0, 2.0, -2.0], [2.0, 4.0, -2.0]]]])
    params = {"conv": {"kernel": jnp.asarray([0.5, 1.0, -1.0])[:, None, None]}}
    y = EfficientChannelAttention().apply({"params": params}, x)
    sums = np.asarray([1.0 - 3.0, 0.5 + 3.0 + 2.0, 1.5 - 2.0])
    np.testing.assert_allclose(y, np.asarray(x) / (1 + np.exp(-sums)), rtol=1e-5)


@pytest.mark.parametrize(
    ("channels", "size"), [(8, 3), (64, 3), (256, 5), (512, 5), (1024, 5), (2048, 7)]
)
def test_kernel_size(channels, size):
    """Timm 1.0.31 has these in its ECA-ResNets."""
    assert kernel_size(channels) == size
