"""TransUNet: maps of the hybrid encoder, position embeddings, inconsistent options."""

import jax
import jax.numpy as jnp
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model


def test_maps_of_the_encoder_have_the_sizes_of_their_strides():
    model = create_model("transunet", num_classes=2)
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    maps = jax.eval_shape(lambda v, x: model.apply(v, x, method="features"), variables, image)
    assert [x.shape[1:] for x in maps] == [
        (112, 112, 64),
        (56, 56, 256),
        (28, 28, 512),
        (14, 14, 768),
    ]
    embedding = variables["params"]["backbone"]["position_embedding"]["embedding"]
    assert embedding.shape == (1, 14, 14, 768)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"heads": 7}, "heads=7"),
        ({"image_size": 8}, "image_size=8"),
        ({"decoder_widths": (64, 16)}, "decoder_widths"),
    ],
)
def test_inconsistent_options_are_one_sentence(options, named):
    with pytest.raises(UserError, match=named):
        create_model("transunet", num_classes=2, **options)
