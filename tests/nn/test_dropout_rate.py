"""The option `dropout_rate` of every network is a hyper-parameter of its compiled program."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cnnlab.models import create_model, list_models, model_options
from cnnlab.models.catalog import model_family
from cnnlab.nn.dropout import Dropout, DropoutRate, dropout_rate
from tests.marks import exhaustive

ALL = [name for name in list_models() if "dropout_rate" in model_options(name)]
# The first network of each family that takes images of 224 pixels, and others of the family.
FIRST = {model_family(name): name for name in reversed(ALL) if name != "lenet5"}.values()
LAST = {name.split("_")[0].rstrip("0123456789"): name for name in ALL}.values()


def test_the_given_rate_replaces_that_of_the_option_only():
    x = jnp.ones((1, 1000))
    rngs = {"dropout": jax.random.key(0)}

    def kept(rate):
        return float((Dropout(rate, deterministic=False).apply({}, x, rngs=rngs) > 0).mean())

    for given in (0.8, jnp.float32(0.8)):
        with dropout_rate(given):
            assert kept(DropoutRate(0.1)) == pytest.approx(0.2, abs=0.05)
            assert kept(0.1) == pytest.approx(0.9, abs=0.05)
    assert kept(DropoutRate(0.1)) == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("name", [*FIRST, *(exhaustive(n) for n in LAST if n not in FIRST)])
def test_the_option_reaches_the_layers_as_it_is(name):
    """A rate computed from the option would be a plain number that no hyper-parameter replaces."""
    model = create_model(name, num_classes=3, dropout_rate=DropoutRate(0.25))
    rates = []

    def look(call, args, kwargs, context):
        if isinstance(context.module, Dropout):
            rates.append(context.module.rate)
        return call(*args, **kwargs)

    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    with nn.intercept_methods(look):
        jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    assert any(isinstance(rate, DropoutRate) for rate in rates)
    # Others are fixed, e.g. that of an auxiliary classifier.
    assert 0.25 not in [rate for rate in rates if not isinstance(rate, DropoutRate)]
