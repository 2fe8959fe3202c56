"""Features: maps under the names of their strides, embeddings that give the logits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models import create_model
from cnnlab.models.features import extract, map_names


def make(name, size=12, **options):
    model = create_model(name, num_classes=3, **options)
    images = jax.random.normal(jax.random.key(1), (2, size, size, 1))
    variables = jax.jit(partial(model.init, train=False))(jax.random.key(0), images)
    return model, variables, images


@pytest.mark.parametrize(
    ("strides", "names"),
    [
        ((2, 4, 8), ["stride2", "stride4", "stride8"]),
        ((2, 16, 16, 32, 16), ["stride2", "stride16_1", "stride16_2", "stride32", "stride16_3"]),
        ((), []),
    ],
)
def test_names(strides, names):
    assert map_names(strides) == names


def test_maps_and_embedding_of_a_resnet():
    model, variables, images = make(
        "resnet18", stem="cifar", width=4, stage_sizes=(1, 1), dropout_rate=0.5
    )
    features = jax.jit(partial(extract, model))(variables, images)
    assert {name: x.shape for name, x in features.items()} == {
        "stride1": (2, 12, 12, 4), "stride2": (2, 6, 6, 8), "embedding": (2, 8),
    }  # fmt: skip
    maps = model.apply(variables, images, method="features")
    np.testing.assert_allclose(features["stride2"], maps[-1], rtol=1e-5, atol=1e-6)
    layer = variables["params"]["head"]["logits"]
    logits = features["embedding"] @ layer["kernel"] + layer["bias"]
    np.testing.assert_allclose(
        logits, model.apply(variables, images, train=False), rtol=1e-5, atol=1e-5
    )


def test_embedding_is_the_last_hidden_layer():
    model, variables, images = make("lenet_relu")
    features = extract(model, variables, images)
    assert features["embedding"].shape == (2, 84)
    layer = variables["params"]["head"]["logits"]
    np.testing.assert_allclose(
        features["embedding"] @ layer["kernel"] + layer["bias"],
        model.apply(variables, images, train=False),
        rtol=1e-5,
        atol=1e-6,
    )


def test_head_without_logits_layer_gives_the_mean_of_the_last_map():
    model, variables, images = make("lenet5", size=32)
    features = extract(model, variables, images)
    np.testing.assert_array_equal(features["embedding"], features["stride4"].mean(axis=(1, 2)))


def test_float32_whatever_the_type_of_computation():
    model, variables, images = make("lenet_relu", dtype="bfloat16")
    assert {x.dtype for x in extract(model, variables, images).values()} == {jnp.dtype("float32")}
    maps = model.apply(variables, images, method="features")
    assert maps[0].dtype == jnp.bfloat16


def test_statistics_are_used_and_not_moved_where_training_freezes_them():
    model, variables, images = make("resnet18", stem="cifar", width=4, stage_sizes=(1,))
    expected = extract(model, variables, images)
    again = extract(model.clone(freeze_batch_stats=True), variables, images[:1])
    np.testing.assert_allclose(again["embedding"], expected["embedding"][:1], rtol=1e-5, atol=1e-6)
