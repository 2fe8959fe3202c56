import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.nn.conv_transpose import ConvTranspose, bilinear_init, conv_transpose
from cnnlab.nn.cpu_kernels.switch import without_cpu_kernels
from cnnlab.nn.resize import resize_bilinear, resize_nearest

FORMS = [(2, 2, 0, 0), (3, 2, 1, 1), (4, 2, 1, 0), (3, 1, 1, 0), (3, 3, 0, 2), (5, 2, 2, 1)]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding", "more"), [*FORMS, (2, 3, 0, 1)])
def test_both_forms_are_equal(kernel, stride, padding, more, axes):
    """The one for CPUs, by blocks, and the plain one, with their gradients."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *(5, 4, 3)[:axes], 3)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(*[kernel] * axes, 3, 4)), jnp.float32)

    def value_and_grads():
        def loss(x, w):
            y = conv_transpose(x, w, stride, padding, more)
            return (y * jnp.cos(jnp.arange(y.size).reshape(y.shape))).sum(), y

        (_, y), grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(x, w)
        return y, *grads

    with without_cpu_kernels():
        theirs = value_and_grads()
    ours = value_and_grads()
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


def test_no_input_is_dilated_on_cpu():
    """The form is really another one: the test above would pass with one alone, too."""
    x, w = jnp.ones((1, 4, 4, 3)), jnp.ones((4, 4, 3, 2))
    assert "lhs_dilation=(2, 2)" not in str(jax.make_jaxpr(lambda: conv_transpose(x, w, 2, 1))())
    with without_cpu_kernels():
        assert "lhs_dilation=(2, 2)" in str(jax.make_jaxpr(lambda: conv_transpose(x, w, 2, 1))())


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (4, 2, 1), (3, 1, 1)])
def test_the_transpose_of_the_convolution_s_matrix(kernel, stride, padding):
    """d2l.ai, sec. 14.10.3: where a convolution is v = W u, this is u = W^T v."""
    w = jnp.asarray(np.random.default_rng(1).normal(size=(kernel, kernel, 3, 2)), jnp.float32)

    def convolve(u):
        out = lax.conv_general_dilated(
            u.reshape(1, 8, 8, 2),
            w.swapaxes(2, 3),
            (stride, stride),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return out.ravel()

    matrix = jax.jit(jax.jacobian(convolve))(jnp.zeros(8 * 8 * 2))
    side = int((matrix.shape[0] // 3) ** 0.5)
    v = jnp.asarray(np.random.default_rng(2).normal(size=(1, side, side, 3)), jnp.float32)
    u = jax.jit(conv_transpose, static_argnums=(2, 3))(v, w, stride, padding)
    np.testing.assert_allclose(u.ravel(), matrix.T @ v.ravel(), rtol=1e-4, atol=1e-4)


def test_bilinear_kernel_interpolates():
    x = jnp.asarray(np.random.default_rng(3).normal(size=(1, 5, 6, 2)), jnp.float32)
    layer = ConvTranspose(2, 4, 2, 1, use_bias=False, kernel_init=bilinear_init)
    y, _ = jax.jit(layer.init_with_output)(jax.random.key(0), x)
    inside = (slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(y[inside], resize_bilinear(x, (10, 12))[inside], atol=1e-6)


def test_volumes():
    x = jnp.ones((1, 2, 3, 4, 5))
    y, variables = jax.eval_shape(ConvTranspose(6).init_with_output, jax.random.key(0), x)
    assert y.shape == (1, 4, 6, 8, 6)
    assert variables["params"]["kernel"].shape == (2, 2, 2, 5, 6)


@pytest.mark.peer
@pytest.mark.parametrize(("kernel", "stride", "padding", "more"), FORMS)
def test_equals_pytorch(kernel, stride, padding, more):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, 5, 4, 3)).astype(np.float32)
    w = rng.normal(size=(kernel, kernel, 3, 6)).astype(np.float32)
    theirs = torch.nn.functional.conv_transpose2d(
        torch.tensor(x.transpose(0, 3, 1, 2)),
        torch.tensor(w.transpose(2, 3, 0, 1)),
        stride=stride,
        padding=padding,
        output_padding=more,
    )
    ours = conv_transpose(jnp.asarray(x), jnp.asarray(w), stride, padding, more)
    np.testing.assert_allclose(ours, theirs.numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-4)


SIZES = [(8, 6), (5, 9), (3, 2), (7, 4)]


@pytest.mark.peer
@pytest.mark.parametrize("size", SIZES)
def test_resizing_equals_pytorch(size):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(5).normal(size=(2, 4, 3, 2)).astype(np.float32)
    there = torch.tensor(x.transpose(0, 3, 1, 2))
    interpolate = torch.nn.functional.interpolate
    for ours, theirs in (
        (resize_nearest(x, size), interpolate(there, size, mode="nearest")),
        (resize_bilinear(x, size), interpolate(there, size, mode="bilinear")),
        (
            resize_bilinear(x, size, align_corners=True),
            interpolate(there, size, mode="bilinear", align_corners=True),
        ),
    ):
        np.testing.assert_allclose(ours, theirs.numpy().transpose(0, 2, 3, 1), atol=1e-5)


def test_nearest_by_hand():
    x = jnp.arange(3.0).reshape(1, 1, 3, 1)
    assert resize_nearest(x, (1, 6)).ravel().tolist() == [0, 0, 1, 1, 2, 2]
    assert resize_nearest(x, (1, 5)).ravel().tolist() == [0, 0, 1, 1, 2]
    assert resize_nearest(x, (1, 2)).ravel().tolist() == [0, 1]
