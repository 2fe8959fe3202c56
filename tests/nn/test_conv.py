"""The forms of convolutions for CPUs, and the layer around them, against lax and flax."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.nn.conv import Conv, conv_general_dilated

NHWC = ("NHWC", "HWIO", "NHWC")


def data(shape, kernel, features, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), dtype)
    return x, jnp.asarray(rng.normal(size=(*kernel, shape[-1], features)), dtype)


def value_and_grads(conv, x, kernel, strides, padding):
    def loss(x, kernel):
        y = conv(x, kernel, strides, padding, dimension_numbers=NHWC)
        # Weights that tell every output apart.
        return (y * jnp.cos(jnp.arange(y.size).reshape(y.shape))).sum(), y

    (_, y), grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(x, kernel)
    return (y, *grads)


CASES = [
    ((2, 12, 12, 1), (5, 5), 6, (1, 1), ((2, 2), (2, 2))),
    ((2, 14, 13, 6), (5, 5), 16, (1, 1), "VALID"),
    ((1, 9, 11, 3), (3, 3), 64, (1, 1), "SAME"),
    ((2, 17, 16, 3), (7, 7), 8, (2, 2), ((3, 3), (3, 3))),
    ((2, 8, 9, 2), (2, 3), 5, (2, 1), ((0, 1), (2, 0))),
    ((1, 7, 40, 8), (1, 1), 3, (1, 1), "VALID"),
    ((1, 6, 64, 4), (4, 6), 40, (3, 3), "SAME"),
    ((3, 5, 5, 1), (5, 5), 120, (1, 1), "VALID"),
    ((2, 9, 11, 16), (3, 3), 24, (2, 2), "SAME"),
]


@pytest.mark.parametrize(("shape", "kernel", "features", "strides", "padding"), CASES)
def test_equals_lax_forward_and_backward(shape, kernel, features, strides, padding):
    x, k = data(shape, kernel, features)
    ours = value_and_grads(conv_general_dilated, x, k, strides, padding)
    theirs = value_and_grads(lax.conv_general_dilated, x, k, strides, padding)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


# Shape, kernel, features, groups, strides, padding, dilation.
OTHER_FORMS = {
    "pointwise": ((2, 7, 6, 12), (1, 1), 5, 1, (1, 1), "SAME", (1, 1)),
    "pointwise with strides": ((2, 7, 6, 12), (1, 1), 5, 1, (2, 3), "VALID", (1, 1)),
    "pointwise, padded": ((1, 5, 5, 9), (1, 1), 4, 1, (2, 2), ((1, 0), (0, 2)), (3, 3)),
    "on small maps": ((3, 2, 2, 9), (3, 3), 5, 1, (1, 1), "SAME", (1, 1)),
    "on small maps, with strides": ((2, 3, 4, 9), (5, 5), 4, 1, (2, 1), "SAME", (1, 1)),
    "on small maps, padded beyond": ((2, 2, 1, 9), (3, 2), 4, 1, (1, 2), ((4, 3), (2, 2)), (1, 1)),
    "to small maps": ((2, 4, 5, 9), (3, 3), 4, 1, (2, 2), "SAME", (1, 1)),
    "to one pixel": ((2, 5, 4, 9), (5, 4), 4, 1, (1, 1), "VALID", (1, 1)),
    "depthwise": ((2, 8, 9, 12), (3, 3), 12, 12, (1, 1), "SAME", (1, 1)),
    "depthwise with strides": ((2, 9, 12, 3), (5, 3), 3, 3, (2, 2), "SAME", (1, 1)),
    "depthwise with odd strides": ((2, 10, 11, 3), (5, 4), 3, 3, (2, 3), "VALID", (1, 1)),
    "depthwise, strides over pixels": ((1, 11, 12, 4), (2, 3), 4, 4, (3, 4), "SAME", (1, 1)),
    "depthwise, dilated": ((1, 12, 12, 4), (3, 3), 4, 4, (1, 1), "SAME", (2, 3)),
    "depthwise, three features each": ((1, 6, 6, 4), (3, 2), 12, 4, (2, 1), "VALID", (1, 1)),
    "depthwise, wide": ((2, 9, 10, 6), (7, 7), 6, 6, (1, 1), "SAME", (1, 1)),
    "depthwise, wide and dilated": ((1, 14, 13, 3), (5, 5), 3, 3, (1, 1), "SAME", (2, 3)),
    "depthwise, wide, with strides": ((1, 11, 12, 3), (5, 5), 3, 3, (2, 1), "VALID", (1, 2)),
    "groups": ((2, 8, 8, 128), (3, 3), 64, 32, (1, 1), "SAME", (1, 1)),
    "two groups": ((8, 16, 16, 48), (3, 3), 48, 2, (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "groups with strides": ((1, 9, 9, 12), (3, 3), 6, 3, (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "groups, dilated": ((1, 9, 9, 130), (3, 3), 10, 10, (1, 1), "SAME", (2, 2)),
    "wide groups": ((1, 4, 4, 140), (1, 3), 4, 2, (1, 1), "VALID", (1, 1)),
    "many groups": ((1, 3, 3, 1536), (1, 1), 768, 768, (1, 1), "VALID", (1, 1)),
}


@pytest.mark.parametrize("case", OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_other_forms_equal_lax_forward_and_backward(case):
    shape, kernel, features, groups, strides, padding, dilation = case
    x, k = data(shape, kernel, features)
    k = k[:, :, : shape[-1] // groups]
    options = {"rhs_dilation": dilation, "feature_group_count": groups}
    conv = functools.partial(conv_general_dilated, **options)
    assert _plain_convolutions(lambda: conv(x, k, strides, padding, None, dimension_numbers=NHWC))
    ours = value_and_grads(conv, x, k, strides, padding)
    lax_conv = functools.partial(lax.conv_general_dilated, **options)
    theirs = value_and_grads(lax_conv, x, k, strides, padding)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


def _plain_convolutions(call) -> bool:
    """Whether no convolution of the trace is in groups or 1x1: those have other forms."""
    equations = jax.make_jaxpr(call)().eqns
    left = [e for e in equations if e.primitive.name == "conv_general_dilated"]
    in_groups = any(e.params["feature_group_count"] > 1 for e in left)
    return not in_groups and all(e.invars[1].aval.shape[:2] != (1, 1) for e in left)


def test_no_convolution_is_left_where_channels_are_few():
    """The form is really another one: the test above would pass by calling lax, too."""
    x, k = data((2, 8, 8, 3), (3, 3), 4)
    few = jax.make_jaxpr(lambda: conv_general_dilated(x, k, (1, 1), "SAME", None, None, NHWC))()
    assert "conv_general_dilated" not in str(few)
    x, k = data((2, 8, 8, 16), (3, 3), 4)
    many = jax.make_jaxpr(lambda: conv_general_dilated(x, k, (1, 1), "SAME", None, None, NHWC))()
    assert "conv_general_dilated" in str(many)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (5, 1), (3, 2)])
def test_all_derivatives_of_depthwise_convolutions(size, stride):
    x, k = data((2, 7, 8, 4), (size, size), 4)
    k = k[:, :, :1]

    def derivatives(conv):
        def loss(x, k):
            y = conv(x, k, (stride,) * 2, "SAME", dimension_numbers=NHWC, feature_group_count=4)
            return jnp.sin(y).sum()

        gradients = jax.grad(loss, argnums=(0, 1))
        return {
            "forward": jax.jvp(loss, (x, k), (x, k))[1],
            "forward over reverse": jax.jvp(gradients, (x, k), (x, k))[1],
            "reverse over reverse": jax.grad(
                lambda x, k: sum(jnp.sin(g).sum() for g in gradients(x, k)), argnums=(0, 1)
            )(x, k),
            "mapped": jax.vmap(gradients, (None, 0))(x, jnp.stack([k, 2 * k])),
            "of a mapped function": jax.grad(
                lambda k: jax.vmap(loss, (None, 0))(x, jnp.stack([k, 2 * k])).sum()
            )(k),
        }

    ours, theirs = derivatives(conv_general_dilated), derivatives(lax.conv_general_dilated)
    for name, expected in theirs.items():
        for one, other in zip(jax.tree.leaves(ours[name]), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3, err_msg=name)


def test_the_gradient_of_a_depthwise_kernel_holds_no_array_for_each_weight():
    x, k = data((2, 28, 28, 32), (7, 7), 32)
    k = k[:, :, :1]

    def loss(x, k):
        y = conv_general_dilated(
            x, k, (1, 1), "SAME", dimension_numbers=NHWC, feature_group_count=32
        )
        return jnp.square(y).sum()

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(x, k).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 10 * x.nbytes


@pytest.mark.parametrize(("groups", "features", "divisions"), [(1, 4, 1), (16, 16, 3)])
def test_training_stores_what_a_convolution_reads(groups, features, divisions):
    """The division that XLA does not repeat is in the compiled gradient, and in no prediction.

    A depthwise convolution's output and cotangent have one, too.
    """
    x, k = data((2, 8, 8, 16), (3, 3), features)
    k = k[:, :, : 16 // groups]

    def loss(x, k):
        y = conv_general_dilated(
            nn.relu(2 * x), k, (1, 1), "SAME", dimension_numbers=NHWC, feature_group_count=groups
        )
        return jnp.square(y).sum()

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(x, k).compile().as_text()
    assert gradient.count(" divide(") >= divisions
    assert " divide(" not in jax.jit(loss).lower(x, k).compile().as_text()


@pytest.mark.parametrize(
    "options",
    [{"rhs_dilation": (2, 2)}, {"lhs_dilation": (2, 2)}, {"preferred_element_type": jnp.float32}],
)  # fmt: skip
def test_other_convolutions_are_laxs(options):
    x, k = data((2, 8, 8, 4), (3, 3), 4)
    arguments = (x, k, (1, 1), ((1, 1), (1, 1)))
    np.testing.assert_array_equal(
        conv_general_dilated(*arguments, dimension_numbers=NHWC, **options),
        lax.conv_general_dilated(*arguments, dimension_numbers=NHWC, **options),
    )


@pytest.mark.parametrize("channels", [1, 8, 9])
@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR", 1])
def test_layer_equals_flax(channels, padding):
    x, _ = data((2, 10, 11, channels), (3, 3), 5)
    ours, theirs = (layer(5, (3, 3), strides=2, padding=padding) for layer in (Conv, nn.Conv))
    shapes = jax.eval_shape(theirs.init, jax.random.key(0), x)
    assert jax.eval_shape(ours.init, jax.random.key(0), x) == shapes
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype("float32"), shapes)
    one, other = jax.jit(lambda v: (ours.apply(v, x), theirs.apply(v, x)))(variables)
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


def test_bfloat16():
    x, k = data((2, 8, 8, 3), (3, 3), 4, jnp.bfloat16)
    ours = conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC)
    theirs = lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC)
    assert ours.dtype == jnp.bfloat16
    scale = np.abs(np.float32(theirs)).max()
    np.testing.assert_allclose(np.float32(ours), np.float32(theirs), atol=0.02 * scale)


def test_vmap_over_kernels_and_second_derivative():
    x, k = data((1, 6, 6, 2), (3, 3), 2)
    kernels = jnp.stack([k, 2 * k])

    def conv(k):
        return conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC)

    outputs = jax.jit(jax.vmap(conv))(kernels)
    np.testing.assert_allclose(outputs[1], 2 * outputs[0], rtol=1e-5, atol=1e-5)
    gradient_of = jax.grad(lambda k: jnp.square(conv(k)).sum())
    gradient, curvature = jax.jit(lambda k: jax.jvp(gradient_of, (k,), (k,)))(k)
    np.testing.assert_allclose(curvature, gradient, rtol=1e-4, atol=1e-3)  # a quadratic form
