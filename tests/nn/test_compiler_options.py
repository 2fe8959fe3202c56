"""Options of XLA's CPU compiler: the same results, and nothing where they are not known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.cpu_kernels import compiler

# Of sums of some hundred terms in another order.
TOLERANCES = {"float32": 1e-5, "bfloat16": 2e-2}


class Network(nn.Module):
    dtype: jnp.dtype
    train: bool

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(16, (3, 3), use_bias=False, dtype=self.dtype)(x)
        x = nn.relu(nn.BatchNorm(not self.train, dtype=self.dtype)(x))
        x = nn.Conv(16, (3, 3), strides=2, dtype=self.dtype)(x)
        return nn.GroupNorm(4, dtype=self.dtype)(x).mean((1, 2))


@pytest.fixture
def unknown(monkeypatch):
    """As with a jaxlib that has dropped the option."""
    monkeypatch.setattr(compiler, "_OPTIONS", {"xla_cpu_no_such_option": ""})
    compiler._are_known.cache_clear()
    yield
    compiler._are_known.cache_clear()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_results_and_gradients_stay_the_same(dtype, train):
    """With batch statistics and with running ones."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 9, 8, 16)), jnp.float32)
    network = Network(jnp.dtype(dtype), train)
    variables = network.init(jax.random.key(0), x)

    def loss(params):
        y, updates = network.apply({**variables, "params": params}, x, mutable=["batch_stats"])
        weights = jnp.cos(jnp.arange(y.size)).reshape(y.shape)
        return (y.astype(jnp.float32) * weights).sum(), updates

    gradient = jax.value_and_grad(loss, has_aux=True)
    found = jax.jit(gradient, compiler_options=compiler.compiler_options())(variables["params"])
    expected = jax.jit(gradient)(variables["params"])
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = max(1.0, float(jnp.abs(other).max()))
        np.testing.assert_allclose(one, other, atol=TOLERANCES[dtype] * scale, rtol=0)


def test_convolutions_are_not_left_to_ynnpack():
    options = compiler.compiler_options()
    if options is None:
        pytest.skip("this jaxlib does not have the option")
    x, kernel = jnp.ones((8, 16, 16, 64)), jnp.ones((3, 3, 64, 64))

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    text = jax.jit(convolve, compiler_options=options).lower(x, kernel).compile().as_text()
    assert "convolution(" in text
    assert "ynn_fusion" not in text


def test_an_unknown_option_is_left_out(unknown):
    assert compiler.compiler_options() is None


def test_other_platforms_have_none(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiler.compiler_options() is None
