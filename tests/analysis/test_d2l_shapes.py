"""`summary` gives the output shapes that d2l.ai (PyTorch tab) prints for the course's networks.

d2l.ai has channels first; here they are last. Where it prints a whole block, so does the table.
"""

import pytest

from cnnlab.analysis import summarize
from cnnlab.models import create_model

# name, image shape, options: {row: output shape}; dense layers of 10 classes.
D2L = {
    "alexnet_d2l": (  # sec. 8.1.2.2
        (224, 224, 1),
        {
            "backbone/conv1": (54, 54, 96),
            "backbone/conv2": (26, 26, 256),
            "backbone/conv3": (12, 12, 384),
            "backbone/conv4": (12, 12, 384),
            "backbone/conv5": (12, 12, 256),
            "head/dense1": (4096,),
            "head/dense2": (4096,),
            "head/logits": (10,),
        },
    ),
    "vgg11": (  # sec. 8.2.2; d2l.ai prints blocks after pooling, see the maps below
        (224, 224, 1),
        {
            "backbone/stage1_conv1": (224, 224, 64),
            "backbone/stage2_conv1": (112, 112, 128),
            "backbone/stage3_conv2": (56, 56, 256),
            "backbone/stage4_conv2": (28, 28, 512),
            "backbone/stage5_conv2": (14, 14, 512),
            "head/dense1": (4096,),
            "head/dense2": (4096,),
            "head/logits": (10,),
        },
    ),
    "nin": (  # sec. 8.3.3
        (224, 224, 1),
        {
            "backbone/block1": (54, 54, 96),
            "backbone/block2": (26, 26, 256),
            "backbone/block3": (12, 12, 384),
            "head/block": (5, 5, 10),
            "head": (10,),
        },
    ),
    "googlenet_v1": (  # sec. 8.4.2
        (96, 96, 1),
        {
            "backbone/conv1": (48, 48, 64),
            "backbone/conv3": (24, 24, 192),
            "backbone/inception3b": (12, 12, 480),
            "backbone/inception4e": (6, 6, 832),
            "backbone/inception5b": (3, 3, 1024),
            "head/logits": (10,),
        },
    ),
    "resnet18_d2l": (  # sec. 8.6.4, at the size that it trains on
        (96, 96, 1),
        {
            "backbone/stem_conv": (48, 48, 64),
            "backbone/stage1_block2": (24, 24, 64),
            "backbone/stage2_block2": (12, 12, 128),
            "backbone/stage3_block2": (6, 6, 256),
            "backbone/stage4_block2": (3, 3, 512),
            "head/logits": (10,),
        },
    ),
    "densenet_d2l": (  # sec. 8.7.4
        (96, 96, 1),
        {
            "backbone/stem": (48, 48, 64),
            "backbone/block1_layer4": (24, 24, 192),
            "backbone/block2_layer4": (12, 12, 224),
            "backbone/block3_layer4": (6, 6, 240),
            "backbone/block4_layer4": (3, 3, 248),
            "head/logits": (10,),
        },
    ),
}
# The maps after each block's pooling, which d2l.ai prints as the block's shape.
POOLED = {
    "alexnet_d2l": [(54, 54, 96), (26, 26, 96), (12, 12, 256), (5, 5, 256)],
    "vgg11": [
        (224, 224, 64),
        (112, 112, 128),
        (56, 56, 256),
        (28, 28, 512),
        (14, 14, 512),
        (7, 7, 512),
    ],
    "nin": [(26, 26, 96), (12, 12, 256), (5, 5, 384)],
}


@pytest.mark.parametrize("name", D2L)
def test_shapes_of_the_book(name):
    image_shape, expected = D2L[name]
    layers = {
        layer.name: layer.output_shapes
        for layer in summarize(create_model(name, num_classes=10), image_shape)
    }
    assert {row: layers[row] for row in expected} == {r: (s,) for r, s in expected.items()}
    if name in POOLED:
        assert list(layers["backbone"]) == POOLED[name]


def test_transition_returns_what_decoders_take_and_the_next_blocks_input():
    layers = {
        layer.name: layer.output_shapes
        for layer in summarize(create_model("densenet_d2l", num_classes=10), (96, 96, 1))
    }
    assert layers["backbone/transition1"] == ((24, 24, 192), (12, 12, 96))
