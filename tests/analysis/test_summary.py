"""The layer table: shapes, parameters and multiply-accumulates against published ones."""

import pytest

from cnnlab.analysis import summarize, total_macs
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
