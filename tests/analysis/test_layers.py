"""Layers by name, their outputs, and probes; filters and feature maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab import create_model
from cnnlab.analysis.feature_maps import feature_maps, strongest_channels
from cnnlab.analysis.filters import first_filters
from cnnlab.analysis.layers import check_layer, layer_outputs, layer_shapes
from cnnlab.errors import UserError
from tests.analysis.networks import one_conv


def abstract(name, shape, **options):
    """A network and the shapes of its variables."""
    model = create_model(name, num_classes=3, **options)
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return model, jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)


def test_outputs_by_hand():
    model, variables = one_conv()
    images = jnp.arange(4.0).reshape(1, 2, 2, 1)
    logits, outputs = layer_outputs(model, variables, images)
    assert set(outputs) == {"backbone/conv", "head", "head/logits"}
    np.testing.assert_allclose(outputs["backbone/conv"][..., 0], 2 * images[..., 0])
    np.testing.assert_allclose(outputs["backbone/conv"][..., 1], -images[..., 0])
    np.testing.assert_allclose(logits, [[3.0 + 4.5, -1.5]])
    np.testing.assert_allclose(outputs["head/logits"], logits)


def test_a_probe_is_seen_by_the_rest_of_the_network():
    model, variables = one_conv()
    images = jnp.zeros((1, 2, 2, 1))

    def score(probe):
        return layer_outputs(model, variables, images, probes={"backbone/conv": probe})[0][0, 0]

    gradient = jax.grad(score)(jnp.zeros((1, 2, 2, 2)))
    np.testing.assert_allclose(gradient, np.broadcast_to([0.25, -0.75], (1, 2, 2, 2)))


def test_shapes_come_in_the_order_of_computation_and_repeated_calls_are_numbered():
    shapes = layer_shapes(*abstract("resnet18", (32, 32, 3), width=8, stem="cifar"), (32, 32, 3))
    names = [name for name in shapes if name.count("/") == 1]
    assert names[0] == "backbone/stem_conv"
    assert shapes[names[0]] == (32, 32, 8)
    assert shapes["head"] == (3,)
    shapes = layer_shapes(*abstract("r2_unet", (32, 32, 1), width=4), (32, 32, 1))
    repeated = [name for name in shapes if name.endswith("#2")]
    assert repeated
    assert all(name.removesuffix("#2") in shapes for name in repeated)


def test_mistaken_layers():
    shapes = {"backbone/conv1": (8, 8, 4), "head/logits": (3,)}
    check_layer("backbone/conv1", shapes)
    with pytest.raises(UserError, match="Did you mean 'backbone/conv1'"):
        check_layer("backbone/conv2", shapes)
    with pytest.raises(UserError, match="returns 3 numbers per image"):
        check_layer("head/logits", shapes)


def test_filters():
    model, variables = one_conv()
    layer, kernels = first_filters(model, variables, (2, 2, 1))
    assert layer == "backbone/conv"
    np.testing.assert_array_equal(kernels, np.array([2.0, -1.0]).reshape(2, 1, 1, 1))


def test_filters_of_a_dense_layer_are_images():
    model = create_model("mlp", num_classes=3, hidden=(5,))
    images = jnp.arange(12.0).reshape(1, 2, 3, 2)
    variables = model.init(jax.random.key(0), images, train=False)
    layer, kernels = first_filters(model, variables, (2, 3, 2))
    assert (layer, kernels.shape) == ("backbone/dense1", (5, 2, 3, 2))
    hidden = layer_outputs(model, variables, images)[1]["backbone/dense1"]
    np.testing.assert_allclose((kernels * images).sum((1, 2, 3)), hidden[0], rtol=1e-4)


@pytest.mark.parametrize("name", ["lenet5", "convnext_tiny", "unet"])
def test_filters_of_any_network(name):
    shape = (64, 64, 3) if name != "lenet5" else (32, 32, 3)
    model, shapes = abstract(name, shape)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    layer, kernels = first_filters(model, variables, shape)
    assert layer.startswith("backbone/")
    assert kernels.shape[-1] == 3
    assert kernels.shape[1] == kernels.shape[2] >= 3


def test_feature_maps(lenet, digits):
    images = lenet.experiment.normalize()({"image": digits.images[:2]})["image"]
    maps = feature_maps(lenet.experiment.model, lenet.variables, images)
    assert {name: x.shape for name, x in maps.items()} == {
        "stride2": (2, 7, 7, 6),
        "stride4": (2, 1, 1, 16),
    }
    layer = feature_maps(lenet.experiment.model, lenet.variables, images, layer="backbone/conv1")
    conv = layer["backbone/conv1"]
    assert conv.shape == (2, 14, 14, 6)
    pooled = np.maximum(np.asarray(conv).reshape(2, 7, 2, 7, 2, 6).max((2, 4)), 0)
    np.testing.assert_allclose(maps["stride2"], pooled, rtol=1e-5, atol=1e-6)


def test_feature_maps_of_segmentation(unet, scenes):
    images = unet.experiment.normalize()({"image": scenes.images[:1]})["image"]
    maps = feature_maps(unet.experiment.model, unet.variables, images)
    assert [x.shape[1] for x in maps.values()] == [16, 8]


def test_strongest_channels():
    maps = np.zeros((1, 2, 2, 3))
    maps[0, :, :, 0] = 100.0  # large, but the same everywhere
    maps[0, 0, 0, 1], maps[0, 0, 0, 2] = 1.0, 2.0
    np.testing.assert_array_equal(strongest_channels(maps, 2), [[2, 1]])
    point = np.array([1.0, -3.0, 2.0]).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(strongest_channels(point, 9), [[1, 2, 0]])
