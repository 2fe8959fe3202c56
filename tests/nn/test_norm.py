"""The norms' forms on CPU: flax's values, statistics and derivatives, in every mode and dtype."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.cpu_kernels.switch import kernels_for_populations, without_cpu_kernels
from cnnlab.nn.norm import BatchNorm, GroupNorm

SHAPE = (6, 5, 4, 12)
BATCH = partial(BatchNorm, False), partial(nn.BatchNorm, False)
FROZEN = partial(BatchNorm, True), partial(nn.BatchNorm, True)
GROUP = partial(GroupNorm, 3), partial(nn.GroupNorm, 3)
KINDS = pytest.mark.parametrize("kinds", [BATCH, FROZEN, GROUP], ids=["batch", "frozen", "group"])


def inputs(offset=1.0, dtype=jnp.float32):
    x, cotangent = np.random.default_rng(0).normal(size=(2, *SHAPE))
    return jnp.asarray(2 * x + offset, dtype), jnp.asarray(cotangent, dtype)


def variables():
    rng = np.random.default_rng(1)
    names = {"params": ("scale", "bias"), "batch_stats": ("mean", "var")}
    return {
        collection: {name: jnp.asarray(rng.uniform(0.5, 2, SHAPE[-1]), jnp.float32) for name in row}
        for collection, row in names.items()
    }


def applied(norm, values, x):
    return norm.apply(values, x, mutable=["batch_stats"])


def gradients(norm, values, x, cotangent):
    """Of the parameters and of the images."""

    def loss(params, x):
        y, _ = applied(norm, values | {"params": params}, x)
        return jnp.sum(y * cotangent)

    return jax.grad(loss, (0, 1))(values["params"], x)


def assert_close(ours, theirs, **tolerances):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.astype(float), b.astype(float), **tolerances)


@KINDS
@pytest.mark.parametrize("options", [{}, {"use_scale": False}, {"use_bias": False}], ids=str)
def test_flax_s_values_statistics_and_gradients(kinds, options):
    x, cotangent = inputs()
    norms = [kind(**options) for kind in kinds]
    assert_close(*(norm.init(jax.random.key(0), x) for norm in norms), atol=0)
    given = variables()
    for name, used in (("scale", norms[0].use_scale), ("bias", norms[0].use_bias)):
        if not used:
            del given["params"][name]
    assert_close(*(applied(norm, given, x) for norm in norms), rtol=1e-5, atol=1e-6)
    assert_close(*(gradients(norm, given, x, cotangent) for norm in norms), rtol=1e-4, atol=1e-5)


@KINDS
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("declared", [True, False])
def test_few_bits(kinds, dtype, declared):
    """Statistics have 32 bits; the output has the declared dtype, or what flax derives."""
    x, _ = inputs(dtype=dtype)
    norms = [kind(dtype=dtype if declared else None) for kind in kinds]
    ours, theirs = (applied(norm, variables(), x) for norm in norms)
    assert ours[0].dtype == (dtype if declared else jnp.float32)
    assert_close(ours, theirs, rtol=1e-2 if declared else 1e-5, atol=1e-2 if declared else 1e-5)


def test_statistics_of_all_devices():
    """`axis_name` averages the moments, so that each device sees those of the whole batch."""
    x, _ = inputs()
    whole, stats = applied(BatchNorm(False), variables(), x)
    norm = BatchNorm(False, axis_name="devices")
    halves, of_each = jax.vmap(lambda part: applied(norm, variables(), part), axis_name="devices")(
        x.reshape(2, 3, *SHAPE[1:])
    )
    np.testing.assert_allclose(halves.reshape(SHAPE), whole, rtol=1e-5, atol=1e-5)
    for half in (0, 1):
        assert_close(jax.tree.map(lambda v, half=half: v[half], of_each), stats, rtol=1e-5)


@KINDS
@pytest.mark.parametrize("offset", [0.0, 20.0, 200.0])
def test_as_exact_as_flax_s(kinds, offset):
    """Both against 64 bits, means of up to a hundred deviations included.

    Flax's variance is a difference of squares too, which loses more there than the form does.
    """
    x, cotangent = inputs(offset)
    found = []
    for kind in kinds:
        y, _ = applied(kind(), variables(), x)
        found.append((y, gradients(kind(), variables(), x, cotangent)))
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda v: v.astype(jnp.float64), (variables(), x, cotangent))
        exact_norm = kinds[1](dtype=jnp.float64)
        exact = applied(exact_norm, *wide[:2])[0], gradients(exact_norm, *wide)
    ours, theirs = (
        np.array(
            [
                np.abs(np.asarray(a, np.float64) - np.asarray(b)).max()
                for a, b in zip(jax.tree.leaves(side), jax.tree.leaves(exact), strict=True)
            ]
        )
        for side in found
    )
    assert (ours <= 2 * theirs + 1e-5 * (1 + offset / 10)).all()


@KINDS
def test_the_switch(kinds):
    """Off the CPU, and where traces are read, it is flax's own, operation for operation."""
    x, _ = inputs()

    def trace(kind):
        return str(jax.make_jaxpr(lambda x: applied(kind(), variables(), x))(x))

    with without_cpu_kernels():
        assert trace(kinds[0]) == trace(kinds[1])
    with kernels_for_populations():
        assert trace(kinds[0]) != trace(kinds[1])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BatchNorm, {"axis": 1}),
        (BatchNorm, {"axis_index_groups": [[0], [1]]}),
        (BatchNorm, {"use_fast_variance": False}),
        (GroupNorm, {"reduction_axes": (1, 2)}),
        (GroupNorm, {"force_float32_reductions": False}),
        (GroupNorm, {"axis_name": "devices"}),
    ],
)
def test_other_options_are_refused(kind, options):
    with pytest.raises(
        ValueError, match=rf"default of {next(iter(options))} only; use flax\.linen"
    ):
        kind(**options)
