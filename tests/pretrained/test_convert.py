"""Layouts, names and shapes between PyTorch's state dicts and ours, by hand."""

import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.pretrained.convert import (
    Tensor,
    adapt_channels,
    match_weights,
    named_tensors,
    own_tensors,
    state_dict,
)
from cnnlab.pretrained.key_maps import swin
from cnnlab.pretrained.key_maps.rules import TensorSpec, by_rules, in_order


def numbered(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def kernel(shape, **place):
    return Tensor(("params", "head", "x", "kernel"), shape, "x.weight", TensorSpec("x", **place))


def test_convolution_kernel():
    tensor = kernel((3, 5, 2, 7))
    stored = numbered(7, 2, 3, 5)
    assert tensor.stored_shape == stored.shape
    assert tensor.load(stored)[1, 4, 0, 6] == stored[6, 0, 1, 4]
    np.testing.assert_array_equal(tensor.store(tensor.load(stored)), stored)


def test_dense_kernel():
    tensor = kernel((4, 6))
    stored = numbered(6, 4)
    np.testing.assert_array_equal(tensor.load(stored), stored.T)
    np.testing.assert_array_equal(tensor.store(stored.T), stored)


@pytest.mark.parametrize("conv", [False, True])
def test_dense_kernel_after_a_map(conv):
    """A map of ones at one place is answered by the weights of that place, whatever the layout."""
    channels, height, width, outputs = 3, 2, 4, 5
    tensor = kernel((height * width * channels, outputs), window=(height, width), conv=conv)
    stored = numbered(outputs, channels, height, width)
    loaded = tensor.load(stored if conv else stored.reshape(outputs, -1))
    for c, h, w in ((0, 0, 0), (2, 1, 0), (1, 0, 3)):
        image = np.zeros((height, width, channels), np.float32)
        image[h, w, c] = 1
        np.testing.assert_array_equal(image.reshape(-1) @ loaded, stored[:, c, h, w])
    back = tensor.store(loaded)
    assert back.shape == tensor.stored_shape == ((stored if conv else stored.reshape(5, -1)).shape)
    np.testing.assert_array_equal(back.reshape(stored.shape), stored)


def test_layer_scale():
    place = TensorSpec("block", layer_scale=("layer_scale", (-1, 1, 1)))
    tensor = Tensor(("params", "b", "layer_scale"), (4,), "block.layer_scale", place)
    stored = numbered(4, 1, 1)
    assert tensor.stored_shape == (4, 1, 1)
    np.testing.assert_array_equal(tensor.store(tensor.load(stored)), stored)


def test_a_vector_that_is_stored_in_parts():
    """Version 2 of the Swin transformer has no bias of keys: in its place are zeros."""
    naming = by_rules(("x", TensorSpec("attn", parts={"qkv_bias": ("q_bias", None, "v_bias")})))
    tensors = named_tensors({"params": {"x": {"qkv_bias": np.zeros(6)}}}, naming)
    stored = {"attn.q_bias": numbered(2) + 1, "attn.v_bias": numbered(2) + 3}
    found = match_weights(stored, tensors, what="it").merge({"params": {"x": {"qkv_bias": None}}})
    np.testing.assert_array_equal(found["params"]["x"]["qkv_bias"], [1, 2, 0, 0, 3, 4])
    back = state_dict(found, tensors)
    assert back.keys() == stored.keys()
    assert all(np.array_equal(back[key], stored[key]) for key in stored)
    with pytest.raises(UserError, match=r"missing: attn\.v_bias"):
        match_weights({"attn.q_bias": stored["attn.q_bias"]}, tensors, what="it")


def test_stages_of_swin_end_with_the_merging_in_the_authors_files():
    shapes = {"params": {"backbone": {"merge2": {"reduce": {"kernel": np.zeros((8, 4))}}}}}
    keys = [named_tensors(shapes, naming)[0].key for naming in swin.timm]
    assert keys == ["layers.1.downsample.reduction.weight", "layers.0.downsample.reduction.weight"]


def test_position_embeddings_are_interpolated_for_another_grid():
    """Two by two become four by four; the class token's embedding and the mean stay."""
    place = TensorSpec("", leaves={"position_embedding": "pos_embed"})
    tensor = Tensor(("params", "b", "position_embedding"), (1, 17, 3), "pos_embed", place)
    stored = numbered(1, 5, 3)
    found = match_weights({"pos_embed": stored}, [tensor], what="it")
    assert found.resized == (tensor.path,)
    resized = found.arrays[tensor.path]
    assert resized.shape == (1, 17, 3)
    np.testing.assert_array_equal(resized[:, 0], stored[:, 0])
    np.testing.assert_allclose(resized[:, 1:].mean(axis=1), stored[:, 1:].mean(axis=1), rtol=1e-6)
    assert (resized[:, 1] < resized[:, 2]).all()
    with pytest.raises(UserError, match="of another shape"):
        match_weights({"pos_embed": numbered(1, 5, 4)}, [tensor], what="it")


def test_constants_are_written_and_need_not_be_read():
    place = TensorSpec("x", leaves={"bias": "table"}, constants={"index": np.arange(3)})
    tensor = Tensor(("params", "b", "bias"), (2,), "x.table", place)
    stored = state_dict({"params": {"b": {"bias": numbered(2)}}}, [tensor])
    np.testing.assert_array_equal(stored["x.index"], [0, 1, 2])
    found = match_weights(stored, [tensor], what="it")
    np.testing.assert_array_equal(found.arrays[tensor.path], numbered(2))


def test_rules_count_from_zero_and_the_first_that_fits_wins():
    naming = by_rules(
        ("b/stage{s}_block{n}/conv{i}", "layer{s}.{n0}.conv{i}"), ("b/{rest}/conv1", "other")
    )
    places = naming(["b/stage2_block1/conv3", "b/stage1_block12/conv1", "b/x/conv1", "b/y"])
    assert {layer: place.name for layer, place in places.items()} == {
        "b/stage2_block1/conv3": "layer2.0.conv3",
        "b/stage1_block12/conv1": "layer1.11.conv1",
        "b/x/conv1": "other",
    }


def test_in_order_is_by_number():
    layers = [f"backbone/block{n}/conv" for n in (10, 2, 1)] + ["backbone/block2/norm", "head/x"]
    assert in_order(layers, "backbone/block{b}") == [f"backbone/block{n}" for n in (1, 2, 10)]


VARIABLES = {
    "params": {
        "backbone": {"conv": {"kernel": numbered(3, 3, 3, 4)}, "norm": {"scale": numbered(4)}},
        "head": {"logits": {"kernel": numbered(4, 6), "bias": numbered(6)}},
    },
    "batch_stats": {"backbone": {"norm": {"mean": numbered(4), "var": numbered(4)}}},
}
NAMING = by_rules(
    ("backbone/conv", "c"), ("backbone/norm", "n"), ("head/logits", "fc")
)  # fmt: skip


def tensors():
    return named_tensors(VARIABLES, NAMING)


def test_state_dict_has_the_counter_beside_batch_statistics():
    stored = state_dict(VARIABLES, tensors())
    assert set(stored) == {"c.weight", "n.weight", "n.running_mean", "n.running_var",
                           "n.num_batches_tracked", "fc.weight", "fc.bias"}  # fmt: skip
    assert stored["n.num_batches_tracked"].dtype == np.int64
    assert stored["n.num_batches_tracked"] == 0
    found = match_weights(stored, tensors(), what="It")
    np.testing.assert_array_equal(
        found.merge(VARIABLES)["params"]["head"]["logits"]["kernel"], numbered(4, 6)
    )


def test_counters_may_be_missing_and_half_precision_becomes_float32():
    stored = state_dict(VARIABLES, tensors())
    stored.pop("n.num_batches_tracked")
    stored["fc.bias"] = stored["fc.bias"].astype(np.float16)
    found = match_weights(stored, tensors(), what="It")
    assert {array.dtype for array in found.arrays.values()} == {np.dtype(np.float32)}


def test_logits_of_another_number_of_classes_stay_new():
    stored = state_dict(VARIABLES, tensors())
    stored["fc.weight"], stored["fc.bias"] = numbered(2, 4), numbered(2)
    found = match_weights(stored, tensors(), what="It")
    assert found.new == (
        ("params", "head", "logits", "kernel"),
        ("params", "head", "logits", "bias"),
    )
    assert found.merge(VARIABLES)["params"]["head"]["logits"]["bias"].shape == (6,)


@pytest.mark.parametrize("make", [own_tensors, lambda v: named_tensors(v, NAMING)])
def test_first_convolution_is_adapted(make):
    stored = state_dict(VARIABLES, make(VARIABLES))
    gray = {**VARIABLES["params"], "backbone": {**VARIABLES["params"]["backbone"]}}
    gray["backbone"]["conv"] = {"kernel": numbered(3, 3, 1, 4)}
    found = match_weights(stored, make({**VARIABLES, "params": gray}), what="It")
    path = ("params", "backbone", "conv", "kernel")
    assert found.adapted == (path,)
    np.testing.assert_array_equal(found.arrays[path], numbered(3, 3, 3, 4).sum(2, keepdims=True))


def test_adapted_kernel_keeps_the_size_of_the_output():
    old = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)
    image = np.random.default_rng(1).normal(size=(3, 3, 1)).astype(np.float32)
    gray = (image * adapt_channels(old, 1).transpose(3, 0, 1, 2)).sum((1, 2, 3))
    copies = (image.repeat(3, axis=2) * old.transpose(3, 0, 1, 2)).sum((1, 2, 3))
    np.testing.assert_allclose(gray, copies, rtol=1e-5)
    five = adapt_channels(old, 5)
    np.testing.assert_array_equal(five[:, :, 3], old[:, :, 0] * np.float32(3 / 5))
    one_to_three = adapt_channels(old[:, :, :1], 3)
    np.testing.assert_allclose(one_to_three.sum(2), old[:, :, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"c.weight": None}, "It does not fit: missing: c.weight."),
        ({"extra.weight": numbered(1)}, "It does not fit: unexpected: extra.weight."),
        ({"n.weight": numbered(5)}, r"of another shape: n.weight is \(5,\), not \(4,\)."),
        ({"c.weight": numbered(4, 3, 5, 5)}, r"c.weight is \(4, 3, 5, 5\), not \(4, 3, 3, 3\)"),
        ({"fc.weight": numbered(2, 9)}, r"fc.weight is \(2, 9\), not \(6, 4\)"),
        ({f"x{n}": numbered(1) for n in range(8)}, "unexpected: x0, x1, x2 and 5 more."),
    ],
)
def test_what_does_not_fit_is_named(change, sentence):
    stored = {**state_dict(VARIABLES, tensors()), **change}
    stored = {key: array for key, array in stored.items() if array is not None}
    with pytest.raises(UserError, match=sentence):
        match_weights(stored, tensors(), what="It")


def test_optional_tensors_may_be_missing_on_either_side():
    stored = state_dict(VARIABLES, tensors())
    bias = stored.pop("fc.bias")
    found = match_weights(
        {**stored, "aux": bias}, tensors(), what="It", optional=["fc.bias", "aux"]
    )
    assert found.new == (("params", "head", "logits", "bias"),)
