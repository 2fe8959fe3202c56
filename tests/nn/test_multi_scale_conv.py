"""The convolutions of Res2Net: which parts reach which."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.analysis.fields.theoretical import receptive_fields
from cnnlab.models import create_model
from cnnlab.nn.choices import Identity
from cnnlab.nn.multi_scale_conv import apply_multi_scale_conv


class Doubled(nn.Module):
    """Convolutions that double their input."""

    separate: bool

    @nn.compact
    def __call__(self, x):
        double = partial(
            nn.Conv, kernel_size=(1, 1), use_bias=False, kernel_init=nn.initializers.constant(2.0)
        )
        return apply_multi_scale_conv(
            x,
            4,
            conv=lambda features, name: double(features, name=name),
            norm=Identity,
            activation=nn.relu,
            separate=self.separate,
        )


@pytest.mark.parametrize(
    ("separate", "expected"),
    # The last part is passed on, or averaged with the eight zeros around the only pixel.
    [(False, [2.0, 24.0, 248.0, 1000.0]), (True, [2.0, 20.0, 200.0, 1000.0 / 9.0])],
)
def test_each_part_gets_the_output_of_the_one_before(separate, expected):
    x = jnp.asarray([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 1, 4)
    y, variables = Doubled(separate).init_with_output(jax.random.key(0), x)
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-6)
    assert set(variables["params"]) == {"conv2_1", "conv2_2", "conv2_3"}


def test_receptive_fields_are_of_the_convolutions():
    """A 3x3 stem and three 3x3 convolutions, one after the other in the second block."""
    model = create_model("res2net50_26w_4s", num_classes=2, width=8, stage_sizes=(2,), stem="cifar")
    (field,) = (f for f in receptive_fields(model, (32, 32, 3)) if f.name == "backbone/stride1")
    assert not field.sees_whole_image
    assert field.size == (3 + 2 + 3 * 2,) * 2
