"""What sets the U-Nets apart, by hand: gates, recurrences, nested outputs, guides, masks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.models.segmentation.unet_family.attention_unet import AttentionGate
from cnnlab.models.segmentation.unet_family.double_unet import foreground
from cnnlab.models.segmentation.unet_family.r2_unet import RecurrentResidual
from cnnlab.models.segmentation.unet_family.resunetplusplus import AttentionBlock
from cnnlab.models.segmentation.unet_family.sa_unet import SpatialAttention
from cnnlab.nn.choices import Identity


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def compiled(model, train=False):
    """Logits and what training puts aside, as a function of variables and images."""
    rngs = {"dropout": jax.random.key(1)}
    apply = partial(model.apply, train=train, rngs=rngs, mutable=["aux_logits", "batch_stats"])
    return jax.jit(apply)


def initial(model, images):
    return jax.jit(partial(model.init, train=False))(jax.random.key(0), images)


def test_attention_gate_by_hand():
    skip, gate = normal(1, 2, 2, 3), normal(1, 2, 2, 4, seed=1)
    module = AttentionGate(2, Identity)
    variables = jax.jit(module.init)(jax.random.key(0), skip, gate)
    weights = {k: v["conv"] for k, v in variables["params"].items()}

    def dense(x, name):
        return x @ weights[name]["kernel"][0, 0] + weights[name]["bias"]

    hidden = jnp.maximum(dense(skip, "skip") + dense(gate, "gate"), 0)
    expected = skip * jax.nn.sigmoid(dense(hidden, "coefficients"))
    np.testing.assert_allclose(jax.jit(module.apply)(variables, skip, gate), expected, rtol=1e-5)


def test_recurrence_shares_its_weights():
    """On one position a 3x3 convolution is a matrix: h = relu(W x), then relu(W (x + h)) twice."""
    x = normal(1, 1, 1, 3)
    module = RecurrentResidual(4, Identity, steps=2)
    params = jax.jit(module.init)(jax.random.key(0), x)["params"]
    assert set(params) == {"shortcut", "recurrent1", "recurrent2"}
    start = x @ params["shortcut"]["kernel"][0, 0]
    y = start
    for name in ("recurrent1", "recurrent2"):
        matrix = params[name]["conv"]["kernel"][1, 1]
        h = jnp.maximum(y @ matrix, 0)
        for _ in range(2):
            h = jnp.maximum((y + h) @ matrix, 0)
        y = h
    found = jax.jit(module.apply)({"params": params}, x)
    np.testing.assert_allclose(found, y + start, rtol=1e-4, atol=1e-6)


def test_spatial_attention_by_hand():
    """A kernel with one value, at the center: a coefficient of mean and maximum alone."""
    x = normal(1, 4, 5, 3)
    kernel = jnp.zeros((7, 7, 2, 1)).at[3, 3, :, 0].set(jnp.asarray([2.0, -1.0]))
    y = SpatialAttention().apply({"params": {"conv": {"kernel": kernel}}}, x)
    mean, largest = x.mean(-1, keepdims=True), x.max(-1, keepdims=True)
    np.testing.assert_allclose(y, x * jax.nn.sigmoid(2 * mean - largest), rtol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_attention_block_keeps_the_shape_of_what_comes_from_below(size):
    skip = normal(1, *size, 2)
    below = normal(1, *(-(-side // 2) for side in size), 3)
    module = AttentionBlock(Identity)
    y, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), below, skip)
    assert y.shape == below.shape


def test_deep_supervision_is_averaged_in_evaluation():
    options = {"width": 4, "levels": 3, "norm": "none", "deep_supervision": True}
    model = create_model("unetplusplus", num_classes=2, **options)
    images = normal(1, 8, 8, 1)
    variables = initial(model, images)
    evaluated, aside = compiled(model)(variables, images)
    assert not aside
    last, aside = compiled(model, train=True)(variables, images)
    outputs = [last, *jax.tree.leaves(aside["aux_logits"])]
    assert len(outputs) == 2
    np.testing.assert_allclose(evaluated, sum(outputs) / 2, rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(outputs[0] - outputs[1]).max()) > 1e-3


@pytest.mark.parametrize("classes", [1, 3])
def test_guide_rules_out_all_but_background(classes):
    options = {"width": 4, "levels": 2, "classification_guided": True}
    model = create_model("unet3plus", num_classes=classes, **options)
    images = normal(2, 6, 6, 1)
    variables = initial(model, images)

    run = compiled(model)

    def logits(scores):
        params = jax.tree.map(jnp.copy, variables["params"])
        params["head"]["guide"]["kernel"] *= 0
        params["head"]["guide"]["bias"] = jnp.asarray(scores)
        return np.asarray(run({**variables, "params": params}, images)[0])

    present, absent = logits([0.0, 1.0]), logits([1.0, 0.0])
    foreground_classes = slice(1, None) if classes > 1 else slice(None)
    np.testing.assert_allclose(
        absent[..., foreground_classes], present[..., foreground_classes] - 100, rtol=1e-4
    )
    if classes > 1:
        np.testing.assert_array_equal(absent[..., 0], present[..., 0])
        assert (absent.argmax(-1) == 0).all()
    assert np.abs(present).max() < 50


def test_double_unet_s_masks():
    """The first mask is trained beside the second; what it lets through is foreground."""
    options = {"encoder_options": {"width": 4, "stage_sizes": (1, 1)}, "width": 4}
    model = create_model("double_unet", num_classes=1, pyramid_width=4, **options)
    images = normal(2, 8, 8, 3)
    variables = initial(model, images)
    _, aside = compiled(model, train=True)(variables, images)
    (mask,) = jax.tree.leaves(aside["aux_logits"])
    assert mask.shape == (2, 8, 8, 1)
    np.testing.assert_allclose(foreground(mask), jax.nn.sigmoid(mask))
    logits = normal(2, 8, 8, 3)
    np.testing.assert_allclose(
        foreground(logits)[..., 0], jax.nn.softmax(logits)[..., 1:].sum(-1), atol=1e-6
    )


def test_double_unet_encodes_with_the_vgg_of_the_classifiers():
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)

    def backbone(name):
        model = create_model(name, num_classes=1)
        rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        variables = jax.eval_shape(lambda x: model.init(rngs, x, train=False), image)
        return jax.tree.map(jnp.shape, variables["params"]["backbone"])

    assert backbone("double_unet") == backbone("vgg19")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("attention_unet", {"norm": "layer"}, "choose batch, group or none"),
        ("r2_attention_unet", {"norm": "layer"}, "choose batch, group or none"),
        ("vnet", {"norm": "layer"}, "choose batch, group or none"),
        ("resunet", {"upsample": "cubic"}, "Unknown upsample 'cubic'"),
        ("double_unet", {"encoder": "resnet18"}, "takes the maps of a VGG"),
        ("multiresunet", {"width": 2}, "choose a larger width"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(name, options, words):
    with pytest.raises(UserError, match=words):
        create_model(name, num_classes=2, **options)


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_border_of_the_network_without_padding(levels):
    """The sizes at which no pooling leaves out a row lose the same on all sides: 92 in figure 1."""
    model = create_model("unet_valid", num_classes=2, width=2, levels=levels)
    assert levels != 5 or model.border == 92
    for strides in (0, 1, 3):
        side = model.min_size + strides * max(model.backbone.strides)
        image = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
        logits, _ = jax.eval_shape(
            lambda x: model.init_with_output(jax.random.key(0), x, train=False), image
        )
        assert logits.shape == (1, *[side - 2 * model.border] * 2, 2)
    assert create_model("unet", num_classes=2).border == 0
