"""The textbook's definitions: the course's worked examples to the digit, and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.analysis import textbook
from cnnlab.errors import UserError

X = np.arange(9).reshape(3, 3)
K = np.arange(4).reshape(2, 2)


def test_cross_correlation_of_the_book():
    """d2l.ai, sec. 7.2.1, 7.3.1 and 7.3.2."""
    assert textbook.cross_correlate(X, K).tolist() == [[19, 25], [37, 43]]
    assert textbook.cross_correlate(X, K, padding=1).tolist() == [
        [0, 3, 8, 4],
        [9, 19, 25, 10],
        [21, 37, 43, 16],
        [6, 7, 8, 0],
    ]
    assert textbook.cross_correlate(X, K, padding=1, stride=(3, 2)).tolist() == [[0, 8], [6, 8]]


def test_edge_detection_of_the_book():
    """d2l.ai, sec. 7.2.3: 1 where white turns black, -1 where black turns white, else 0."""
    image = np.ones((6, 8))
    image[:, 2:6] = 0
    edges = textbook.cross_correlate(image, np.array([[1.0, -1.0]]))
    assert edges.tolist() == [[0, 1, 0, 0, 0, -1, 0]] * 6
    assert not textbook.cross_correlate(image.T, np.array([[1.0, -1.0]])).any()


def test_channels_of_the_book():
    """d2l.ai, sec. 7.4.1 and 7.4.2: several inputs, then three outputs of K, K + 1 and K + 2."""
    x = np.stack([X, X + 1], axis=-1)
    k = np.stack([K, K + 1], axis=-1)
    kernel = np.stack([k, k + 1, k + 2], axis=-1)
    y = textbook.cross_correlate_channels(x, kernel)
    assert y[..., 0].tolist() == [[56, 72], [104, 120]]
    assert y[..., 1].tolist() == [[76, 100], [148, 172]]
    assert y[..., 2].tolist() == [[96, 128], [192, 224]]


def test_one_by_one_convolution_is_a_dense_layer_at_each_pixel():
    """d2l.ai, sec. 7.4.3."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(3, 4, 3)), rng.normal(size=(1, 1, 3, 2))
    np.testing.assert_allclose(textbook.cross_correlate_channels(x, kernel), x @ kernel[0, 0])


@pytest.mark.parametrize(
    ("mode", "rows"),
    [
        ("zero", [[0, 0, 0, 0, 0], [0, 0, 1, 2, 0], [0, 3, 4, 5, 0]]),
        ("edge", [[0, 0, 1, 2, 2], [0, 0, 1, 2, 2], [3, 3, 4, 5, 5]]),
        ("reflect", [[4, 3, 4, 5, 4], [1, 0, 1, 2, 1], [4, 3, 4, 5, 4]]),
    ],
)
def test_padding_by_hand(mode, rows):
    assert textbook.pad(X, 1, mode)[:3].tolist() == rows


@pytest.mark.parametrize("mode", ["zero", "edge", "reflect"])
def test_padding_equals_numpy(mode):
    x = np.random.default_rng(0).normal(size=(4, 5))
    expected = np.pad(x, ((3, 3), (2, 2)), {"zero": "constant"}.get(mode, mode))
    np.testing.assert_array_equal(textbook.pad(x, (3, 2), mode), expected)


def test_padding_says_what_it_cannot_do():
    with pytest.raises(UserError, match="reflected by 2"):
        textbook.pad(X, 3, "reflect")
    with pytest.raises(UserError, match="zero, edge or reflect"):
        textbook.pad(X, 1, "mirror")


def test_gradient_by_hand_equals_autodiff():
    """Of jax, through padding and a convolution that are its own; one program for all cases."""
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=(5, 6, 2)), rng.normal(size=(3, 2, 2, 3))
    forms = [(1, 0), (1, (1, 2)), ((2, 1), 1), ((3, 2), (2, 1))]
    cases = [(*form, mode) for form in forms for mode in ("zero", "edge", "reflect")]
    outputs = [
        textbook.cross_correlate_channels(x, kernel, stride=stride, padding=padding, mode=mode)
        for stride, padding, mode in cases
    ]
    cotangents = [rng.normal(size=y.shape) for y in outputs]

    def convolve(x, kernel, stride, padding, mode):
        pad_i, pad_j = textbook.cross_correlation.pair(padding)
        sides = ((pad_i, pad_i), (pad_j, pad_j), (0, 0))
        x = jnp.pad(x, sides, {"zero": "constant"}.get(mode, mode))
        strides, numbers = textbook.cross_correlation.pair(stride), ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x[None], kernel, strides, "VALID", None, None, numbers)[0]

    @jax.jit
    def differentiate(x, kernel):
        found = []
        for case, cotangent in zip(cases, cotangents, strict=True):
            y, vjp = jax.vjp(lambda x, kernel: convolve(x, kernel, *case), x, kernel)  # noqa: B023
            found.append((y, *vjp(jnp.asarray(cotangent, y.dtype))))
        return found

    automatic = differentiate(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    for case, y, cotangent, found in zip(cases, outputs, cotangents, automatic, strict=True):
        options = dict(zip(("stride", "padding", "mode"), case, strict=True))
        by_hand = textbook.cross_correlate_gradients(x, kernel, cotangent, **options)
        for one, other in zip((y, *by_hand), found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=str(case))


def test_a_kernel_is_learned_by_its_gradient():
    """d2l.ai, sec. 7.2.4: from edges alone, the detector [1, -1]."""
    image = np.ones((6, 8, 1))
    image[:, 2:6] = 0
    truth = textbook.cross_correlate(image[..., 0], np.array([[1.0, -1.0]]))[..., None]
    kernel = np.random.default_rng(0).normal(size=(1, 2, 1, 1))
    for _ in range(30):
        error = 2 * (textbook.cross_correlate_channels(image, kernel) - truth)
        kernel -= 0.03 * textbook.cross_correlate_gradients(image, kernel, error)[1]
    np.testing.assert_allclose(kernel.ravel(), [1, -1], atol=1e-2)


def test_pooling_of_the_book():
    """d2l.ai, sec. 7.5.1 and 7.5.2."""
    assert textbook.pool(X, 2).tolist() == [[4, 5], [7, 8]]
    assert textbook.pool(X, 2, kind="avg").tolist() == [[2, 3], [5, 6]]
    x = np.arange(16).reshape(4, 4)
    assert textbook.pool(x, 3, stride=3).tolist() == [[10]]
    assert textbook.pool(x, 3, padding=1, stride=2).tolist() == [[5, 7], [13, 15]]
    assert textbook.pool(x, (2, 3), stride=(2, 3), padding=(0, 1)).tolist() == [[5, 7], [13, 15]]


def test_padding_is_never_the_largest_and_counts_in_the_mean():
    assert textbook.pool(-np.ones((2, 2)), 2, stride=2, padding=1).tolist() == [[-1, -1], [-1, -1]]
    means = textbook.pool(np.ones((2, 2)), 2, kind="avg", stride=2, padding=1)
    assert means.tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_pooling_says_what_it_cannot_do():
    with pytest.raises(UserError, match="max or avg"):
        textbook.pool(X, 2, kind="mean")
    with pytest.raises(UserError, match="padding of 2 and 2"):
        textbook.pool(X, 2, padding=2)


def test_transposed_convolution_of_the_book():
    """d2l.ai, sec. 14.10.1 and 14.10.2: without, with stride, with padding."""
    assert textbook.transposed_convolve(K, K).tolist() == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]
    assert textbook.transposed_convolve(K, K, stride=2).tolist() == [
        [0, 0, 0, 1],
        [0, 0, 2, 3],
        [0, 2, 0, 3],
        [4, 6, 6, 9],
    ]
    assert textbook.transposed_convolve(K, K, padding=1).tolist() == [[4]]


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (2, 1), ((3, 1), (1, 0))])
def test_the_matrix_and_its_transpose(stride, padding):
    """d2l.ai, sec. 14.10.3."""
    rng = np.random.default_rng(2)
    x, kernel = rng.normal(size=(7, 6)), rng.normal(size=(3, 2))
    options = {"stride": stride, "padding": padding}
    matrix = textbook.convolution_matrix(kernel, x.shape, **options)
    y = textbook.cross_correlate(x, kernel, **options)
    np.testing.assert_allclose(matrix @ x.ravel(), y.ravel(), atol=1e-12)
    back = textbook.transposed_convolve(y, kernel, **options)
    # Where the last window ends before the image does, the transpose has nothing there.
    image = np.zeros(x.shape)
    image[: back.shape[0], : back.shape[1]] = back[: x.shape[0], : x.shape[1]]
    np.testing.assert_allclose(matrix.T @ y.ravel(), image.ravel(), atol=1e-12)


def test_batch_norm_by_hand():
    x = np.array([[1.0, 10.0], [3.0, 10.0]])
    scale, shift = np.array([2.0, 1.0]), np.array([0.0, 5.0])
    y, mean, variance = textbook.batch_norm(x, scale, shift, epsilon=1e-9)
    assert mean.tolist() == [2, 10] and variance.tolist() == [1, 0]
    np.testing.assert_allclose(y, [[-2, 5], [2, 5]], atol=1e-6)
    # Running statistics, once the batch has moved them, take its place in inference.
    running = textbook.moving_average(np.zeros(2), mean)
    np.testing.assert_allclose(running, [0.2, 1.0])
    y = textbook.batch_norm_inference(x, running, np.ones(2), np.ones(2), np.zeros(2), 0.0)
    np.testing.assert_allclose(y, x - running)


def test_layer_norm_by_hand():
    """d2l.ai, sec. 8.5.2: layer norm does not care for the other example, batch norm does."""
    x = np.array([[1.0, 2.0], [2.0, 3.0]])
    ones, zeros = np.ones(2), np.zeros(2)
    np.testing.assert_allclose(
        textbook.layer_norm(x, ones, zeros, 0.0), [[-1, 1], [-1, 1]], atol=1e-9
    )
    np.testing.assert_allclose(
        textbook.batch_norm(x, ones, zeros, 0.0)[0], [[-1, -1], [1, 1]], atol=1e-9
    )
