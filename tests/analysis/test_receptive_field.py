"""Receptive fields against published numbers, and against gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.analysis import (
    effective_receptive_field,
    effective_size,
    receptive_box,
    receptive_fields,
)
from cnnlab.errors import UserError
from cnnlab.models import Classifier, create_model
from cnnlab.models.classification.resnet import BottleneckBlock
from cnnlab.models.heads import LinearHead
from cnnlab.nn.attention.window_attention import WindowAttention
from cnnlab.nn.choices import Identity
from cnnlab.nn.pool import max_pool
from tests.marks import slow

RGB = (64, 64, 3)


def fields(model, image_shape=RGB):
    return {field.name: field for field in receptive_fields(model, image_shape)}


# Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", table 1:
# VGG-16 at its last pooling, AlexNet (v2) at its last pooling.
@pytest.mark.parametrize(("name", "size", "stride"), [("vgg16", 212, 32), ("alexnet", 195, 32)])
def test_published(name, size, stride):
    found = fields(create_model(name, num_classes=10), (80, 96, 3))["backbone/stride32"]
    assert found.size == (size, size) and found.stride == (stride, stride)
    assert not found.sees_whole_image


def test_alexnet_of_the_paper():
    maps = fields(create_model("alexnet_2012", num_classes=10), (67, 67, 3))
    assert [maps[f"backbone/stride{s}"].size[0] for s in (4, 8, 16, 32)] == [11, 19, 67, 195]


class _Araujo(nn.Module):
    """ResNet-50 of TF-Slim, as Araujo et al. have it: the stride in a stage's last unit."""

    strides = (32,)

    @nn.compact
    def __call__(self, images, *, train):
        x = max_pool(nn.Conv(8, (7, 7), 2, padding=3)(images), (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, size in enumerate((3, 4, 6, 3), start=1):
            for number in range(1, size + 1):
                stride = 2 if number == size and stage < 4 else 1
                x = BottleneckBlock(2, stride, norm=Identity, activation=nn.relu)(x)
        return (x,)


def test_resnet50_and_where_its_strides_are():
    """427 with the strides in the first 3x3 of each stage, 483 where they come last."""
    found = fields(create_model("resnet50", num_classes=10))["backbone/stride32"]
    assert found.size == (427, 427) and found.stride == (32, 32)
    model = Classifier(_Araujo(), LinearHead(10))
    assert fields(model)["backbone/stride32"].size == (483, 483)


def test_whole_image_is_told_apart():
    """Squeeze-excitation leaves the convolutions' field, and says that more is seen; a head too."""
    options = {"num_classes": 10, "stem": "cifar", "width": 4, "stage_sizes": (1, 1)}
    plain = fields(create_model("resnet18", **options))
    squeezed = fields(create_model("seresnet18", **options))
    for name in ("backbone/stage1_block1", "backbone/stride2"):
        assert squeezed[name].size == plain[name].size
        assert squeezed[name].sees_whole_image and not plain[name].sees_whole_image
    assert plain["head/logits"].size is None and plain["head/logits"].sees_whole_image
    grouped = fields(create_model("resnet18", norm="group", **options))
    assert grouped["backbone/stride2"].size == plain["backbone/stride2"].size
    assert grouped["backbone/stride2"].sees_whole_image
    layered = fields(create_model("resnet18", norm="layer", **options))
    assert not layered["backbone/stride2"].sees_whole_image
    dense = fields(create_model("mlp", num_classes=10), (28, 28, 1))
    assert dense["backbone/dense1"].size is None


def test_pyramid_pooling_grows_with_the_image():
    """Its bins are a sixth of the image: no size is theirs."""
    model = create_model(
        "pspnet", num_classes=3, encoder="resnet18",
        encoder_options={"width": 4, "stage_sizes": (1, 1, 1, 1)},
    )  # fmt: skip
    found = fields(model)[""]
    assert found.size is None and found.sees_whole_image


# Between them they use every operation of the registered networks but those of attention.
OPERATIONS = [
    ("lenet5", {}),
    ("alexnet_2012", {"hidden": (8,)}),
    ("resnet20", {"width": 2}),
    ("mobilenet_v3_small", {}),
    ("vnet_2d", {}),
    ("unext_s", {}),
]


@pytest.mark.parametrize(("name", "options"), OPERATIONS)
def test_every_operation_has_a_rule(name, options, monkeypatch):
    """Without one, the field would be the whole image: safe, but not what was asked for."""

    def refuse(rank):
        raise AssertionError("an operation without a rule")

    monkeypatch.setattr("cnnlab.analysis.dependence.interpret.of_whole_image", refuse)
    model = create_model(name, num_classes=2, **options)
    receptive_box(model, (model.min_size + 64, model.min_size + 64, 3), "")


def positive(variables):
    """Weights that cancel nothing."""
    return jax.tree.map(lambda x: jnp.full(x.shape, 0.02), variables)


def extents(influence):
    rows, columns = np.nonzero(influence.any(axis=1))[0], np.nonzero(influence.any(axis=0))[0]
    return (rows[0], columns[0]), (rows[-1] + 1, columns[-1] + 1)


# Name, options, image, layer. Without norms, which would divide by what the weights make; and the
# max poolings are made averages, which pass a gradient on to every pixel.
DENSENET = {"norm": "none", "growth_rate": 2, "stage_sizes": (1, 2), "stem": "cifar"}
SMALL_UNET = {"norm": "none", "width": 2, "levels": 3}
MODELS = [
    ("lenet", {}, (40, 37, 1), "backbone/stride4"),
    ("resnet20", {"norm": "none", "width": 2}, (48, 41, 1), "backbone/stride2"),
    ("densenet_d2l", DENSENET, (40, 33, 1), "backbone/stride2"),
    slow("googlenet_v1", {"width": 0.02}, (107, 120, 1), "backbone/stride8"),
    ("unet", SMALL_UNET, (60, 55, 1), "head"),
    slow("unet_bilinear", SMALL_UNET, (76, 71, 1), "head"),
    ("unet_valid", {"width": 2, "levels": 2}, (60, 57, 1), "head"),
    slow("attention_unet", SMALL_UNET, (76, 71, 1), "head"),
]
POOLINGS = ("classification.inception.googlenet", "segmentation.unet_family.unet")


@pytest.mark.parametrize(("name", "options", "image_shape", "layer"), MODELS)
def test_boxes_are_those_of_gradients(name, options, image_shape, layer, monkeypatch):
    """With positive weights, exactly the pixels of the box have a gradient."""
    for module in POOLINGS:
        monkeypatch.setattr(f"cnnlab.models.{module}.max_pool", nn.avg_pool)
    model = create_model(name, num_classes=2, **options)
    image = jnp.ones((1, *image_shape))
    variables = positive(
        jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    )
    found = effective_receptive_field(model, variables, image, layer)
    box = receptive_box(model, image_shape, layer)
    assert extents(found) == (box.start, box.stop)
    # A box that ends at the border would show nothing of its size.
    assert min(box.start) > 0
    assert all(stop < size for stop, size in zip(box.stop, image_shape, strict=False))


class _Windows(nn.Module):
    """Attention within windows of 4x4, which may be shifted."""

    shift: int
    strides = (1,)

    @nn.compact
    def __call__(self, x, *, train):
        return (WindowAttention(heads=1, window=4, shift=self.shift)(x),)


@pytest.mark.parametrize("shift", [slow(0), 2])
def test_attention_in_windows_sees_its_window(shift):
    """Weights are random, for equal scores would pass no gradient to queries and keys."""
    model = Classifier(_Windows(shift), LinearHead(2))
    image = jax.random.normal(jax.random.key(0), (1, 16, 12, 2))
    variables = jax.jit(model.init, static_argnames="train")(jax.random.key(1), image, train=False)
    for position in [(5, 4), (7, 7), (8, 5)]:
        influence = effective_receptive_field(model, variables, image, "backbone/stride1", position)
        box = receptive_box(model, image.shape[1:], "backbone/stride1", position)
        assert extents(influence) == (box.start, box.stop)
        assert not box.sees_whole_image
        assert [b - a for a, b in zip(box.start, box.stop, strict=True)] == [4, 4]


# Every registered network with attention or squeezes over all positions.
GLOBAL = [slow("transunet"), slow("missformer"), slow("uctransnet"), slow("manet"),
          "resunetplusplus", "seresnet18"]  # fmt: skip


@pytest.mark.parametrize("name", GLOBAL)
def test_attention_over_all_positions_is_told(name):
    model = create_model(name, num_classes=2)
    side = max(model.min_size, 64)
    assert receptive_box(model, (side, side, 3), "").sees_whole_image


def test_effective_field_is_smaller_and_in_the_middle():
    """Two layers of 3x3 ones: influence 1 2 3 2 1, so the corners of 5x5 count less than 1/9."""

    class Two(nn.Module):
        strides = (1,)

        @nn.compact
        def __call__(self, x, *, train):
            for _ in range(2):
                x = nn.Conv(1, (3, 3), kernel_init=nn.initializers.ones)(x)
            return (x,)

    model = Classifier(Two(), LinearHead(2))
    image = jnp.zeros((2, 9, 9, 1))
    variables = model.init(jax.random.key(0), image, train=False)
    found = effective_receptive_field(model, variables, image, "backbone/stride1")
    ramp = np.array([0, 0, 1, 2, 3, 2, 1, 0, 0]) / 3
    np.testing.assert_allclose(found, np.outer(ramp, ramp), rtol=1e-6)
    assert effective_size(found) == 5.0
    assert effective_size(np.outer(ramp, ramp) > 0.2) == 21**0.5


def test_mistakes_are_told():
    model = create_model("lenet", num_classes=10)
    with pytest.raises(UserError, match=r"no layer 'backbone/conv3'.*backbone/conv2"):
        receptive_box(model, (28, 28, 1), "backbone/conv3")
    with pytest.raises(UserError, match="has 10x10 positions; there is none at"):
        receptive_box(model, (28, 28, 1), "backbone/conv2", (10, 0))


def test_the_box_of_a_corner_is_cut():
    model = create_model("lenet", num_classes=10)
    box = receptive_box(model, (28, 28, 1), "backbone/conv1", (0, 27))
    assert (box.start, box.stop) == ((0, 25), (3, 28))
