"""U^2-Net: side outputs in training, stages that keep their size, inconsistent options."""

import jax
import jax.numpy as jnp
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model


def test_training_gives_six_side_outputs_of_weight_one():
    model = create_model("u2net_lite", num_classes=3)
    assert model.aux_weight == 1.0
    image = jax.ShapeDtypeStruct((1, 37, 50, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    _, updates = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats", "aux_logits"]),
        variables,
        image,
    )
    sides = updates["aux_logits"]["head"]
    assert sorted(sides) == [f"side{number}" for number in range(1, 7)]
    assert all(values[0].shape == (1, 37, 50, 3) for values in sides.values())


def test_pooling_keeps_the_odd_row_and_column():
    model = create_model("u2net_lite", num_classes=1)
    image = jax.ShapeDtypeStruct((1, 37, 50, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    maps = jax.eval_shape(lambda v, x: model.apply(v, x, method="features"), variables, image)
    sizes = [x.shape[1:3] for x in maps]
    assert sizes == [(37, 50), (19, 25), (10, 13), (5, 7), (3, 4), (2, 2)]


@pytest.mark.parametrize("options", [{"widths": (4, 4)}, {"heights": (7, 6, 5, 1)}])
def test_inconsistent_options_are_one_sentence(options):
    with pytest.raises(UserError, match="heights"):
        create_model("u2net", num_classes=1, **options)
