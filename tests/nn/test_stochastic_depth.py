"""Stochastic depth: whole examples lose a branch, at rates that rise linearly over the blocks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models import create_model
from cnnlab.nn.stochastic_depth import stochastic_depth


def test_stochastic_depth_drops_whole_examples():
    """Half of the way, a rate of 0.8 drops 0.4 of the branches and scales up the others."""
    x = jnp.ones((512, 1, 2, 3))
    dropout = stochastic_depth(0.8, block=2, blocks=4, train=True)()
    y = np.asarray(dropout.apply({}, x, rngs={"dropout": jax.random.key(0)}))
    assert (y == y[:, :1, :1, :1]).all()
    kept = y[:, 0, 0, 0] > 0
    assert kept.mean() == pytest.approx(0.6, abs=0.06)
    np.testing.assert_allclose(y[kept], 1 / 0.6, rtol=1e-6)
    dropout = stochastic_depth(0.8, block=2, blocks=4, train=False)()
    np.testing.assert_array_equal(dropout.apply({}, x), x)


@pytest.mark.parametrize(
    "name",
    [
        "resnet20",
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("resnetv2_18", marks=pytest.mark.slow),
    ],
)
def test_residual_networks_drop_the_branches_of_examples(name):
    """Rates are l / L of the option, eq. 4 of the paper; evaluation is as without."""
    options = {"width": 4} | ({} if name == "resnet20" else {"stem": "cifar"})
    plain = create_model(name, num_classes=3, **options)
    model = create_model(name, num_classes=3, stochastic_depth_rate=0.5, **options)
    images = jax.random.normal(jax.random.key(0), (64, 8, 8, 3))
    variables = jax.jit(lambda key: plain.init(key, images, train=False))(jax.random.key(1))

    rates = {}  # by path: a subclass calls its base

    def record(call, args, kwargs, context):
        dropout = type(context.module).__name__ == "Dropout" and context.method_name == "__call__"
        if dropout and "block" in context.module.path[1]:
            rates[context.module.path] = context.module.rate
        return call(*args, **kwargs)

    def forward(model, train):
        rngs = {"dropout": jax.random.key(2)}
        return jax.jit(
            lambda v: model.apply(v, images, train=train, rngs=rngs, mutable=["batch_stats"])[0]
        )(variables)

    with nn.intercept_methods(record):
        dropped = forward(model, True)
    blocks = 9 if name == "resnet20" else 8
    rates = [rate for rate in rates.values() if rate > 0]
    np.testing.assert_allclose(rates, 0.5 * np.arange(1, blocks + 1) / blocks)
    np.testing.assert_array_equal(forward(model, False), forward(plain, False))
    assert not np.allclose(dropped, forward(plain, True))
