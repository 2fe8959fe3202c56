"""Connections between the parts of networks, read from their traced programs."""

import pytest

from cnnlab.analysis import network_parts, summarize
from cnnlab.analysis.graph import IMAGE, network_graph
from cnnlab.models import create_model


def graph(name, shape, **options):
    model = create_model(name, num_classes=10, **options)
    return network_graph(model, shape, [p.name for p in network_parts(summarize(model, shape))])


def test_poolings_of_lenet_are_between_its_layers():
    nodes = graph("lenet", (28, 28, 1))
    assert [node.name or node.kind for node in nodes] == [
        "backbone/conv1", "mean pool", "backbone/conv2", "mean pool", "head/dense1", "head/dense2",
        "head/logits",
    ]  # fmt: skip
    assert [node.inputs for node in nodes] == [(IMAGE,), *[(i,) for i in range(6)]]
    assert [node.output_shape for node in nodes[1:4]] == [(14, 14, 6), (10, 10, 16), (5, 5, 16)]


def test_skips_of_a_unet_lead_from_the_encoder_to_the_decoder():
    nodes = graph("unet", (32, 32, 1), width=4, levels=3)
    names = [node.name or node.kind for node in nodes]
    assert names.count("max pool") == 2
    for level in (1, 2):
        skip = names.index(f"backbone/level{level}")
        assert skip in nodes[names.index(f"head/level{level}")].inputs


@pytest.mark.parametrize(
    ("name", "joins", "count"), [("resnet18", "add", 8), ("densenet_d2l", "concatenate", 16)]
)
def test_paths_inside_of_blocks_are_found(name, joins, count):
    nodes = graph(name, (64, 64, 3))
    assert [node.joins for node in nodes].count(joins) == count
    assert nodes[-2].kind == "mean" and nodes[-2].output_shape == nodes[-3].output_shape[-1:]


def test_an_fcn_ends_with_the_enlargement_of_its_logits():
    last = graph("fcn32s", (64, 64, 3), hidden=(8, 8))[-1]
    assert (last.kind, last.output_shape) == ("resize", (64, 64, 10))


def test_blocks_of_a_transformer_follow_one_another():
    """The backbone has weights of its own, a class token, and yet is no block among its blocks."""
    nodes = graph("vit_ti_16", (32, 32, 3), depth=3)
    assert [node.name for node in nodes][:2] == ["backbone/patches", "backbone/block1"]
    assert all(node.inputs == (number - 1,) for number, node in enumerate(nodes))
    assert [node.joins for node in nodes].count("add") == 3
