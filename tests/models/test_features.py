"""Features: maps under the names of their strides, embeddings that give the logits."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models import Classifier, create_model
from cnnlab.models.classification.lenet import LeNet
from cnnlab.models.features import extract, map_names


def make(name, **options):
    return with_variables(create_model(name, num_classes=3, **options))


def with_variables(model):
    images = jax.random.normal(jax.random.key(1), (2, 12, 12, 1))
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


def compute(model, variables, images):
    """Features, the backbone's maps, and logits."""

    def everything(variables, images):
        maps = model.apply(variables, images, method="features")
        return extract(model, variables, images), maps, model.apply(variables, images, train=False)

    return jax.jit(everything)(variables, images)


def test_maps_and_embedding_of_a_resnet():
    model, variables, images = make(
        "resnet18", stem="cifar", width=4, stage_sizes=(1, 1), dropout_rate=0.5
    )
    features, maps, logits = compute(model, variables, images)
    assert {name: x.shape for name, x in features.items()} == {
        "stride1": (2, 12, 12, 4), "stride2": (2, 6, 6, 8), "embedding": (2, 8),
    }  # fmt: skip
    for name, expected in zip(("stride1", "stride2"), maps, strict=True):
        np.testing.assert_allclose(features[name], expected, rtol=1e-5, atol=1e-6)
    layer = variables["params"]["head"]["logits"]
    again = features["embedding"] @ layer["kernel"] + layer["bias"]
    np.testing.assert_allclose(again, logits, rtol=1e-5, atol=1e-5)


def test_embedding_is_the_last_hidden_layer():
    model, variables, images = make("lenet_relu")
    features, _, logits = compute(model, variables, images)
    assert features["embedding"].shape == (2, 84)
    layer = variables["params"]["head"]["logits"]
    again = features["embedding"] @ layer["kernel"] + layer["bias"]
    np.testing.assert_allclose(again, logits, rtol=1e-5, atol=1e-5)


class MeanHead(nn.Module):
    """Averages the coarsest map: it has no layer of any name."""

    @nn.compact
    def __call__(self, features, *, train):
        return features[-1].mean(axis=(1, 2))


def test_head_without_logits_layer_gives_the_mean_of_the_last_map():
    model, variables, images = with_variables(Classifier(LeNet(), MeanHead()))
    features = jax.jit(partial(extract, model))(variables, images)
    np.testing.assert_allclose(
        features["embedding"], features["stride4"].mean(axis=(1, 2)), rtol=1e-6
    )


def test_float32_whatever_the_type_of_computation():
    model, variables, images = make("lenet_relu", dtype="bfloat16")
    features = jax.eval_shape(partial(extract, model), variables, images)
    assert {x.dtype for x in features.values()} == {jnp.dtype("float32")}
    maps = jax.eval_shape(partial(model.apply, method="features"), variables, images)
    assert maps[0].dtype == jnp.bfloat16
