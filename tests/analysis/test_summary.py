"""The layer table: shapes, parameters and multiply-accumulates against published ones."""

import io

import flax.linen as nn
import pytest
from rich.console import Console

from cnnlab.analysis import summarize, summary_table, total_activation_bytes, total_macs
from cnnlab.models import create_model

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
