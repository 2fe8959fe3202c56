"""Any classifier's backbone under any decoder: shapes of all pairs, a gradient step of some."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model, list_models, model_options
from cnnlab.models.catalog import model_family
from cnnlab.models.segmentation.encoder_decoder.encoders import (
    encoder_strides,
    make_encoder,
    pyramid,
)
from tests.marks import slow

DECODERS = [name for name in list_models(task="segmentation") if "encoder" in model_options(name)]
ENCODERS = [name for name in list_models(task="classification") if name != "mlp"]
# One with few maps, one that every decoder takes, one with blocks, one that expands its channels;
# the others are traced by the slow tests.
QUICK = {"lenet_relu", "vgg11_bn", "resnet18", "mobilenet_v2"}
# Traced under every decoder: these, the first of each family, and those whose maps have strides of
# their own. A decoder sees the maps only, so the maps of all the others are held to be like these.
FIRST = {model_family(name): name for name in reversed(ENCODERS)}
OWN_STRIDES = {"nin_cifar", "wrn_16_4", "densenet_bc_100_12", "vit_b_32", "vit_h_14",
               "vit_small_patch8_224", "deit_tiny_distilled_patch16_224",
               "mobilenetv1_100h"}  # fmt: skip
WHOLE = [n for n in ENCODERS if n in QUICK | OWN_STRIDES | {"resnet50"} | set(FIRST.values())]
CHANNELS, CLASSES = (1, 3, 5), (1, 2, 21)
# Options that make a decoder small, where it has them.
NARROW = {"hidden": (), "widths": (8, 8, 8, 4, 4), "width": 8, "pyramid_width": 8, "fine_width": 4}


def segmenter(name, encoder, encoder_options, num_classes=2, **options):
    known = model_options(name)
    narrow = {option: value for option, value in NARROW.items() if option in known}
    return create_model(
        name,
        num_classes=num_classes,
        encoder=encoder,
        encoder_options=encoder_options,
        **narrow | options,
    )


# The same of encoders, so that many have maps of the same shapes: one block in each stage, narrow.
ROWS = {
    "mobilenetv1": {"stages": [(8, 1, 2)] * 4},
    "mobilenetv2": {"stages": [(2, 8, 1, 2)] * 4},
    "mobilenetv3": {"blocks": [(3, 8, 8, True, "HS", 2)] * 4},
    "edgenext": {"widths": (8,) * 4, "stage_sizes": (1,) * 4, "heads": 2},
    "ghostnet": {"blocks": [(3, 8, 8, True, 2)] * 4},
    "mobilenetv4": {"stages": [[("uib", 3, 3, 2, 8, 2)]] * 4},
    "mobilenet_v2": {"stages": [(2, 8, 1, 2)] * 4},
    "mobilenet_v3": {"blocks": [(3, 8, 8, True, "HS", 2)] * 4},
    "efficientnet": {"stages": [(2, 3, 8, 1, 2)] * 4},
    "tf_efficientnet": {"stages": [(2, 3, 8, 1, 2)] * 4},
    "googlenet": {"width": 0.1},
    "inception": {"width": 0.1},
    "legacy_xception": {"width": 0.05, "middle_blocks": 1},
    "xception": {"width": 0.05, "middle_blocks": 1},
    "alexnet": {"channels": (8,) * 5},
    "regnet": {"widths": (8,) * 4, "group_width": 8},
    "resnest": {"width": 32},
    "dla": {"widths": (8, 8, 32, 32, 32, 32)},
    "hrnet": {"width": 8, "branch_blocks": 1, "head_width": 4},
    "repvgg": {"widths": (8,) * 5},
    "mnasnet": {"stages": [(2, 3, 8, 1, 2)] * 4},
    "squeezenet": {"stages": [[(4, 4)]] * 3},
    "shufflenet": {"widths": (8,) * 5},
    "mit": {"widths": (8,) * 4, "heads": (2,) * 4},
    "maxvit": {"widths": (8,) * 4, "head_width": 4},
    "swin": {"heads": (2,) * 4},
    "vit": {"heads": 2, "depth": 1},
    "deit": {"heads": 2, "depth": 1},
}
SMALL = {"width": 16, "stem_width": 8, "growth_rate": 8, "depth": 8}


def small(encoder):
    known = model_options(encoder)
    rows = (options for family, options in ROWS.items() if encoder.startswith(family))
    options = {name: v for name, v in SMALL.items() if type(known.get(name)) is int}
    if "stage_sizes" in known:
        options["stage_sizes"] = (1,) * len(known["stage_sizes"])
    return options | next(rows, {})


def output_shapes(module, *inputs):
    """Shapes of what a module gives, without computing it."""
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    return jax.eval_shape(lambda *x: module.init_with_output(rngs, *x, train=True)[0], *inputs)


# Traced once for all pairs that have them: many encoders have maps of the same shapes.
TRACED = {}


def traced(module, *inputs):
    key = f"{module} of {inputs}"
    if key not in TRACED:
        TRACED[key] = output_shapes(module, *inputs)
    return TRACED[key]


def refusal(name, encoder):
    """What a decoder says of an encoder whose maps it cannot take; None where it can."""
    if name == "double_unet" and not encoder.startswith("vgg"):
        return "takes the maps of a VGG"
    if name == "dpt" and not encoder.startswith(("vit_", "deit")):
        return "has no class token"
    few = encoder in ("lenet5", "lenet", "lenet_relu", "nin_cifar")
    # The patches of a ViT are one map.
    is_vit = encoder.startswith(("vit_", "deit"))
    skips = {"fcn8s"} if few else {"fcn8s", "fcn16s"} if is_vit else {}
    return "take fcn32s" if name in skips else None


@pytest.mark.parametrize("encoder", [n if n in QUICK else slow(n) for n in WHOLE])
def test_under_every_decoder(encoder):
    """All pairs, at an odd size; channels and classes take their turns."""
    channels = CHANNELS[ENCODERS.index(encoder) % len(CHANNELS)]
    for name in DECODERS:
        if why := refusal(name, encoder):
            with pytest.raises(UserError, match=why):
                segmenter(name, encoder, small(encoder))
            continue
        classes = CLASSES[DECODERS.index(name) % len(CLASSES)]
        options = {"aux": True} if "aux" in model_options(name) else {}
        model = segmenter(name, encoder, small(encoder), classes, **options)
        size = (1, model.min_size + 6, model.min_size + 1)
        images = jax.ShapeDtypeStruct((*size, channels), jnp.float32)
        maps = traced(model.backbone, images)
        assert len(maps) == len(model.backbone.strides)
        logits = traced(model.head, maps, images)
        assert logits.shape == (*size, classes), name
        assert logits.dtype == jnp.float32, name


@pytest.mark.exhaustive
@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name not in WHOLE])
def test_maps_are_like_those_of_one_under_every_decoder(encoder):
    network = make_encoder(encoder, small(encoder), jnp.float32)
    strides = network.backbone.strides
    kin = [name for name in WHOLE if model_family(name) == model_family(encoder)]
    assert strides in [make_encoder(n, small(n), jnp.float32).backbone.strides for n in kin]
    size = (network.min_size + 6, network.min_size + 1)
    maps = traced(network.backbone, jax.ShapeDtypeStruct((1, *size, 3), jnp.float32))
    assert len(maps) == len(strides)
    for features, stride in zip(maps, strides, strict=True):
        if stride:  # 0 is a vector; borders that are not padded take away a little
            lost = [-(-n // stride) - m for n, m in zip(size, features.shape[1:3], strict=True)]
            assert all(0 <= n <= 3 for n in lost)


def test_a_network_without_maps_is_no_encoder():
    with pytest.raises(UserError, match="encoder=mlp has no feature maps"):
        make_encoder("mlp", None, jnp.float32)


@pytest.mark.parametrize(
    ("name", "encoder", "encoder_options"),
    [
        ("fcn8s", "vgg11_bn", {"width": 4, "stage_sizes": (1, 1, 1)}),
        ("encoder_unet", "mobilenet_v2", {"stem": "cifar", "stages": [(2, 8, 2, 2)] * 2}),
        slow("linknet", "convnext_tiny", {"width": 4, "stage_sizes": (1, 1)}),
        slow("fpn", "densenet121", {"stem": "cifar", "growth_rate": 4, "stage_sizes": (1, 1)}),
    ],
)
def test_gradient_step(name, encoder, encoder_options):
    """One step downhill lowers the loss, at an odd size, and the whole encoder takes part in it."""
    model = segmenter(name, encoder, encoder_options)
    shape = (2, model.min_size + 10, model.min_size + 5, 3)
    images = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    variables = drawn(model, shape)
    rest = {k: v for k, v in variables.items() if k != "params"}

    def loss(params):
        logits, _ = model.apply(
            {"params": params, **rest},
            images,
            train=True,
            rngs={"dropout": jax.random.key(1)},
            mutable=list(rest),
        )
        return jnp.square(logits - 1.0).mean()

    both = jax.jit(jax.value_and_grad(loss))
    before, gradient = both(variables["params"])
    squares = jax.tree.map(lambda g: float(np.square(g).sum()), gradient)
    step = 1e-3 / np.sqrt(sum(jax.tree.leaves(squares)))
    moved = jax.tree.map(lambda p, g: p - step * np.asarray(g), variables["params"], gradient)
    assert both(moved)[0] < before
    named = jax.tree.leaves_with_path(squares["backbone"])
    still = [jax.tree_util.keystr(path) for path, square in named if not square]
    assert not still, "parts of the encoder without gradient"


def drawn(model, shape):
    """Variables as they start, but for the kernels' distribution; nothing is compiled."""
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key in ("scale", "var", "layer_scale"):
            return np.ones(leaf.shape, np.float32)
        fan_in = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else np.inf
        return (rng.normal(size=leaf.shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    return jax.tree.map_with_path(draw, shapes)


def test_the_last_map_of_each_stride():
    maps, strides = jnp.arange(5), (1, 2, 4, 4, 4)
    assert [int(x) for x in pyramid(maps, strides)] == [0, 1, 4]
    assert [int(x) for x in pyramid(maps, strides, finest=2)] == [1, 4]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("encoder_unet", {"encoder": "unet"}, "segments already"),
        ("encoder_unet", {"encoder": "resnet43"}, "Did you mean 'resnet44'"),
        ("fpn", {"encoder_options": {"stemm": "cifar"}}, "Did you mean 'stem'"),
        (
            "manet",
            {"widths": (8, 8)},
            "at least 5 numbers, one for each of the encoder's strides 2",
        ),
        ("encoder_unet", {"attention": "se"}, "choose none or scse"),
        ("deeplabv3", {"output_stride": 12}, "output_stride=12 must be a power of 2, at least 4"),
        ("pspnet", {"output_stride": 1, "dilate": False}, "must be at least 2"),
        ("fcn8s", {"hidden": (8,)}, "must have two widths, or none"),
    ],
)
def test_a_mistake_is_one_sentence(name, options, sentence):
    with pytest.raises(UserError, match=sentence):
        create_model(name, num_classes=2, **options)


def test_a_dilated_encoder_under_a_decoder_for_all():
    """Stages of the same stride: the last one is taken."""
    model = segmenter("encoder_unet", "resnet18", {"width": 4, "output_stride": 8})
    images = jax.ShapeDtypeStruct((1, 41, 50, 3), jnp.float32)
    assert output_shapes(model, images).shape == (1, 41, 50, 2)
    assert encoder_strides(model) == (2, 4, 8)


def test_preferred_options_yield_to_those_that_are_set():
    deeplab = segmenter("deeplabv3", "resnet18", {"output_stride": 16, "width": 4})
    assert deeplab.backbone.strides == (2, 4, 8, 16, 16)
    assert segmenter("deeplabv3", "vgg11_bn", {"width": 4}).backbone.strides[-1] == 32


@pytest.mark.parametrize(("name", "weight"), [("fcn", 0.5), ("deeplabv3", 0.5), ("pspnet", 0.4)])
def test_weight_of_the_auxiliary_head(name, weight):
    assert segmenter(name, "resnet18", {"width": 4}, aux=True).aux_weight == weight
