"""Parts of a network add up to its table."""

from cnnlab.analysis import network_parts, summarize, total_activation_bytes, total_macs
from cnnlab.models import create_model


def test_parts_of_lenet_by_hand():
    parts = network_parts(summarize(create_model("lenet", num_classes=10), (28, 28, 1)))
    found = {part.name: (part.output_shape, part.params, part.macs) for part in parts}
    assert found == {
        "backbone/conv1": ((28, 28, 6), 5 * 5 * 6 + 6, 28 * 28 * 25 * 6),
        "backbone/conv2": ((10, 10, 16), 25 * 6 * 16 + 16, 100 * 25 * 6 * 16),
        "head/dense1": ((120,), 400 * 120 + 120, 400 * 120),
        "head/dense2": ((84,), 120 * 84 + 84, 120 * 84),
        "head/logits": ((10,), 84 * 10 + 10, 84 * 10),
    }


def test_parts_add_up():
    layers = summarize(create_model("resnet18", num_classes=10), (64, 64, 3))
    for depth in (1, 2, 3):
        parts = network_parts(layers, depth)
        assert sum(part.params for part in parts) == 11_181_642
        assert sum(part.macs for part in parts) == total_macs(layers)
        assert sum(part.activation_bytes for part in parts) == total_activation_bytes(layers)
    names = [part.name for part in network_parts(layers)]
    assert names[:4] == ["backbone/stem_conv", "backbone/stem_norm", "backbone/stage1_block1",
                         "backbone/stage1_block2"]  # fmt: skip
    assert network_parts(layers)[2].kind == "BasicBlock"


def test_the_head_of_vgg_holds_most_of_its_parameters():
    parts = network_parts(summarize(create_model("vgg16", num_classes=1000), (224, 224, 3)), 1)
    backbone, head = parts
    assert head.params == 25_088 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
    assert head.params > 8 * backbone.params and head.macs < backbone.macs / 100
