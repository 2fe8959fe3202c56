"""The layer table: shapes, parameters and multiply-accumulates against published ones."""

import dataclasses
import io

import flax.linen as nn
import pytest
from rich.console import Console

from cnnlab.analysis import (
    block_table,
    summarize,
    summary_table,
    total_activation_bytes,
    total_macs,
)
from cnnlab.models import create_model
from tests.marks import exhaustive

# Multiply-accumulates: torch.utils.flop_counter on torchvision 0.28 (divided by 2), on d2l.ai's
# LeNet of sec. 7.6, and on torchvision's ResNet-18 with a 3x3 stem.
PUBLISHED = [
    ("resnet18", {}, (224, 224, 3), 1000, 11_689_512, 1_814_073_344),
    ("resnet50", {}, (224, 224, 3), 1000, 25_557_032, 4_089_184_256),
    ("lenet", {}, (28, 28, 1), 10, 61_706, 416_520),
    ("lenet", {}, (32, 32, 3), 10, 83_126, 886_440),
    ("resnet18", {"stem": "cifar"}, (32, 32, 3), 10, 11_173_962, 555_422_720),
]


@pytest.mark.parametrize(("name", "options", "shape", "classes", "params", "macs"), PUBLISHED)
def test_published_costs(name, options, shape, classes, params, macs):
    layers = summarize(create_model(name, num_classes=classes, **options), shape)
    assert sum(layer.params for layer in layers) == params
    assert total_macs(layers) == macs


def test_layers_of_lenet():
    """Output shapes that d2l.ai prints for LeNet (sec. 7.6.1), in the order of computation."""
    layers = {layer.name: layer for layer in summarize(create_model("lenet", num_classes=10),
                                                       (28, 28, 1))}  # fmt: skip
    shapes = {name: layer.output_shapes for name, layer in layers.items()}
    assert shapes["backbone/conv1"] == ((28, 28, 6),)
    assert shapes["backbone/conv2"] == ((10, 10, 16),)
    assert shapes["backbone"] == ((14, 14, 6), (5, 5, 16))
    assert shapes["head/dense1"] == ((120,),)
    assert shapes["head/dense2"] == ((84,),)
    assert shapes["head/logits"] == ((10,),)
    names = [name for name in layers if layers[name].params]
    assert names == ["backbone/conv1", "backbone/conv2", "head/dense1", "head/dense2",
                     "head/logits"]  # fmt: skip
    assert next(iter(layers)) == ""


def test_memory_of_lenet_by_hand():
    """Float32 outputs; the maps of the backbone are its layers', pooled, and are not added up."""
    layers = summarize(create_model("lenet", num_classes=10), (28, 28, 1))
    memory = {layer.name: layer.activation_bytes for layer in layers}
    assert memory["backbone/conv1"] == 4 * 28 * 28 * 6
    assert memory["backbone"] == 4 * (14 * 14 * 6 + 5 * 5 * 16)
    numbers = 28 * 28 * 6 + 10 * 10 * 16 + 120 + 84 + 10
    assert total_activation_bytes(layers) == 4 * numbers
    half = summarize(create_model("lenet", num_classes=10, dtype="bfloat16"), (28, 28, 1))
    assert total_activation_bytes(half) == 2 * numbers


def test_a_layer_that_is_called_twice_needs_memory_twice():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            dense = nn.Dense(3, name="dense")
            return dense(dense(x))

    layers = {layer.name: layer for layer in summarize(Twice(), (4, 4, 3))}
    assert layers["dense"].activation_bytes == 2 * layers[""].activation_bytes
    assert layers["dense"].macs == 2 * 4 * 4 * 3 * 3


def test_a_layer_with_several_axes_of_features_counts_as_a_dense_one():
    class Heads(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            x = nn.DenseGeneral((4, 5), name="split")(x)
            return nn.DenseGeneral(3, (-2, -1), name="join")(x)

    layers = {layer.name: layer for layer in summarize(Heads(), (6, 6, 3))}
    assert layers["split"].macs == layers["join"].macs == 6 * 6 * 3 * 20


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_cuts_no_number(width):
    layers = summarize(create_model("resnet50", num_classes=1000), (224, 224, 3))
    out = io.StringIO()
    Console(file=out, width=width).print(summary_table(layers, "resnet50"))
    lines = out.getvalue().splitlines()
    assert "…" not in out.getvalue()
    assert {len(line) for line in lines[1:]} == {len(lines[-1])} and len(lines[-1]) <= width
    assert "25,557,032" in lines[-2] and "4,089,184,256" in lines[-2]


def lines_of(table, width=80):
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def blocks(name, image_shape, **options):
    model = create_model(name, **options)
    return lines_of(block_table(model, image_shape, summarize(model, image_shape), name))


def test_blocks_have_one_row_each_with_poolings_and_dropout_between():
    rows = [line.split() for line in blocks("alexnet", (224, 224, 3), num_classes=1000)][4:-3]
    assert rows[:4] == [
        ["backbone"],
        ["conv1", "ConvNormAct", "55x55x64", "23,296", "70,276,800"],
        ["max", "pool", "27x27x64"],
        ["conv2", "ConvNormAct", "27x27x192", "307,392", "223,948,800"],
    ]
    assert [row[0] for row in rows[-6:]] == [
        "head", "dense1", "Dropout_0", "dense2", "Dropout_1", "logits"
    ]  # fmt: skip
    lines = blocks("resnet18", (64, 64, 3), num_classes=10)
    assert sum("BasicBlock" in line for line in lines) == 8
    assert any(line.split() == ["global", "mean", "512"] for line in lines)


@pytest.mark.parametrize(
    "name",
    ["resnet50", *(exhaustive(n) for n in (
        "densenet121", "googlenet", "inception_v3", "mobilenet_v3_large", "efficientnet_v2_s",
        "convnext_tiny", "swin_t", "vit_b_16", "regnet_y_400mf", "shufflenet_v2_x1_0",
        "squeezenet1_0",
    ))],
)  # fmt: skip
def test_nothing_wraps_in_80_columns(name):
    """Each row of both tables, those without memory, is one line."""
    model = create_model(name, num_classes=1000)
    size = max(64, model.min_size)
    shape = (224, 224, 3) if name.startswith(("vit", "swin")) else (size, size, 3)
    layers = summarize(model, shape)
    shown = [layer for layer in layers if layer.kind != "Identity"]
    for table, count in (
        (summary_table(layers, name, memory=False), len(shown)),
        (block_table(model, shape, layers, name), None),
    ):
        lines = lines_of(table)
        assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)
        assert len(lines) == (count or table.row_count) + 7


def test_deeper_layers_and_identities_are_left_out():
    layers = summarize(create_model("resnet18", num_classes=10), (64, 64, 3))
    lines = lines_of(summary_table(layers, "resnet18", depth=2))
    assert any("stage1_block1" in line for line in lines)
    assert not any(line.split()[:1] == ["conv1"] for line in lines)
    layers = [*layers, dataclasses.replace(layers[-1], kind="Identity", name="head/nothing")]
    assert not any("nothing" in line for line in lines_of(summary_table(layers, "resnet18")))
