"""Any classifier's backbone under any decoder: shapes of all pairs, a gradient step of some."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model, list_models, model_options
from cnnlab.models.segmentation.encoders import encoder_strides, make_encoder, pyramid

# DoubleU-Net takes the maps of VGG alone.
DECODERS = [
    name
    for name in list_models(task="segmentation")
    if "encoder_options" in model_options(name) and name != "double_unet"
]
WITHOUT_MAPS = {"mlp"}
# One encoder of each family, narrow and shallow.
_STAGES = (1, 1, 1, 1)
ENCODERS = {
    "lenet_relu": {},
    "alexnet": {"channels": (8, 8, 8, 8, 8)},
    "vgg11_bn": {"width": 4, "hidden": ()},
    "nin_cifar": {},
    "googlenet": {"width": 0.1, "aux": False},
    "resnet18": {"width": 4, "stage_sizes": _STAGES},
    "resnet50": {"width": 4, "stage_sizes": _STAGES, "stem": "cifar"},
    "resnet20": {"width": 4, "depth": 8},
    "resnetv2_18": {"width": 4, "stem_width": 4, "stage_sizes": _STAGES},
    "resnet9": {"width": 4},
    "densenet121": {"growth_rate": 4, "stage_sizes": _STAGES},
    "regnet_y_400mf": {"stage_sizes": _STAGES, "widths": (8, 8, 8, 8)},
    "convnext_tiny": {"width": 4, "stage_sizes": _STAGES},
    "mobilenet_v2": {"stages": [(2, 8, 1, 2)] * 4},
    "mobilenet_v3_small": {"blocks": [(3, 8, 8, True, "HS", 2)] * 4},
    "efficientnet_b0": {"stages": [(2, 3, 8, 1, 2)] * 4},
}
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


def initial_shapes(model, shape):
    """Shapes of the logits and of the variables, without computing either."""
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda x: model.init_with_output(rngs, x, train=True), image)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", DECODERS)
def test_every_encoder_under_every_decoder(name, encoder):
    """At an odd size; channels and classes take their turns."""
    turn = DECODERS.index(name) + list(ENCODERS).index(encoder)
    channels, classes = (1, 3, 5)[turn % 3], (1, 2, 21, 7)[turn % 4]
    options = {"aux": True} if "aux" in model_options(name) else {}
    if name in ("fcn8s", "fcn16s") and len(strides_of(encoder)) < 3:
        with pytest.raises(UserError, match="take fcn32s"):
            segmenter("fcn8s", encoder, ENCODERS[encoder])
        return
    model = segmenter(name, encoder, ENCODERS[encoder], classes, **options)
    shape = (1, model.min_size + 6, model.min_size + 1, channels)
    logits, variables = initial_shapes(model, shape)
    assert logits.shape == (*shape[:3], classes)
    assert logits.dtype == jnp.float32
    assert set(variables["params"]) == {"backbone", "head"}


def strides_of(encoder):
    return encoder_strides(make_encoder(encoder, ENCODERS.get(encoder), jnp.float32))


@pytest.mark.parametrize("encoder", list_models(task="classification"))
def test_every_classifier_encodes(encoder):
    """At an odd size, with as many maps as it says."""
    if encoder in WITHOUT_MAPS:
        with pytest.raises(UserError, match=f"encoder={encoder} has no feature maps"):
            make_encoder(encoder, None, jnp.float32)
        return
    model = create_model("linknet", num_classes=2, encoder=encoder)
    shape = (1, model.min_size + 2, model.min_size + 5, 3)
    logits, _ = initial_shapes(model, shape)
    assert logits.shape == (*shape[:3], 2)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("fcn8s", "vgg11_bn"),
        ("encoder_unet", "resnet9"),
        ("linknet", "resnet20"),
    ],
)
def test_gradient_step(name, encoder):
    """One step downhill lowers the loss, at an odd size; logits depend on the whole encoder."""
    model = segmenter(name, encoder, ENCODERS[encoder])
    side = 2 * model.min_size + 2
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, side, side + 3, 3)), jnp.float32)
    compile_fast = {"xla_backend_optimization_level": 1}

    def losses(images):
        rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        variables = model.init(rngs, images, train=False)
        rest = {k: v for k, v in variables.items() if k != "params"}

        def loss(params):
            logits, _ = model.apply(
                {"params": params, **rest}, images, train=True, rngs=rngs, mutable=list(rest)
            )
            return jnp.square(logits - 1.0).mean()

        before, gradient = jax.value_and_grad(loss)(variables["params"])
        norm = jnp.sqrt(sum(jnp.square(g).sum() for g in jax.tree.leaves(gradient)))
        moved = jax.tree.map(lambda p, g: p - 1e-3 * g / norm, variables["params"], gradient)
        stem = jnp.sqrt(sum(jnp.square(g).sum() for g in jax.tree.leaves(gradient["backbone"])))
        return before, loss(moved), stem

    before, after, stem = jax.jit(losses, compiler_options=compile_fast)(images)
    assert after < before
    assert stem > 0


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
    assert initial_shapes(model, (1, 41, 50, 3))[0].shape == (1, 41, 50, 2)
    assert encoder_strides(model) == (2, 4, 8)


def test_preferred_options_yield_to_those_that_are_set():
    deeplab = segmenter("deeplabv3", "resnet18", {"output_stride": 16, "width": 4})
    assert deeplab.backbone.strides == (2, 4, 8, 16, 16)
    assert segmenter("deeplabv3", "vgg11_bn", {"width": 4}).backbone.strides[-1] == 32


@pytest.mark.parametrize(("name", "weight"), [("fcn", 0.5), ("deeplabv3", 0.5), ("pspnet", 0.4)])
def test_weight_of_the_auxiliary_head(name, weight):
    assert segmenter(name, "resnet18", {"width": 4}, aux=True).aux_weight == weight
