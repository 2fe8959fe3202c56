"""Swin-Unet: what padding must not change, shapes of the levels, inconsistent options."""

import jax
import jax.numpy as jnp
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model


@pytest.mark.parametrize(
    ("size", "sides"),
    [((224, 224), [(56, 56), (28, 28), (14, 14), (7, 7)]), ((33, 64), [(16, 16)])],
)
def test_levels_halve_and_odd_images_are_padded(size, sides):
    model = create_model("swin_unet", num_classes=9)
    image = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    maps = jax.eval_shape(lambda v, x: model.apply(v, x, method="features"), variables, image)
    assert [x.shape[3] for x in maps] == [96, 192, 384, 768, 768]
    assert [x.shape[1:3] for x in maps][: len(sides)] == sides
    bias = variables["params"]["backbone"]["level1_block1"]["attention"]["position_bias"]
    assert bias.shape == (169, 3)


@pytest.mark.parametrize(
    ("options", "named"), [({"heads": (3, 6)}, "depths"), ({"width": 20}, "does not divide 20")]
)
def test_inconsistent_options_are_one_sentence(options, named):
    with pytest.raises(UserError, match=named):
        create_model("swin_unet", num_classes=2, **options)
