"""Resizing of volumes; that of images stands beside the transposed convolution's tests."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.resize import resize_bilinear


def test_volumes_are_interpolated_axis_by_axis():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)), jnp.float32)
    y = resize_bilinear(x, (6, 7, 9))
    assert y.shape == (2, 6, 7, 9, 2)
    # Planes first, then the depth, each as images.
    planes = resize_bilinear(x.reshape(6, 4, 5, 2), (7, 9)).reshape(2, 3, 7 * 9, 2)
    expected = resize_bilinear(planes, (6, 7 * 9)).reshape(y.shape)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    assert resize_bilinear(x, (3, 4, 5)) is x


@pytest.mark.peer
def test_volumes_equal_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(1).normal(size=(1, 3, 4, 5, 2)).astype("float32")
    there = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    for size in ((6, 8, 10), (7, 4, 3)):
        expected = torch.nn.functional.interpolate(there, size, mode="trilinear")
        y = resize_bilinear(jnp.asarray(x), size)
        np.testing.assert_allclose(y, np.moveaxis(expected.numpy(), 1, -1), atol=1e-5)
