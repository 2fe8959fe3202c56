"""One contract for all segmentation networks, and their exact parameter counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model, list_models, model_task
from cnnlab.nn import conv
from cnnlab.train import num_parameters
from tests.marks import exhaustive, slow
from tests.models.segmentation.counts import COUNTS, OTHER_COUNTS, SMALL

NAMES = list_models(task="segmentation")


def streams():
    return {"params": jax.random.key(0), "dropout": jax.random.key(1)}


@functools.cache
def shapes(name, image_shape, num_classes, options=()):
    """Shapes of the variables and of the logits in evaluation."""
    model = create_model(name, num_classes=num_classes, **dict(options))
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    logits, variables = jax.eval_shape(
        lambda x: model.init_with_output(streams(), x, train=False), image
    )
    return variables, logits


def trained_shapes(name, variables, image_shape, num_classes):
    """Shapes of logits and updates in training, of a network in its small form."""
    model = create_model(name, num_classes=num_classes, **SMALL[name])
    return jax.eval_shape(
        lambda v, x: model.apply(
            v, x, train=True, rngs=streams(), mutable=["batch_stats", "aux_logits"]
        ),
        variables,
        jax.ShapeDtypeStruct((1, *image_shape), jnp.float32),
    )


def small(name, image_shape, num_classes):
    return shapes.__wrapped__(name, image_shape, num_classes, SMALL[name])


def valid(name):
    """Whether the network gives the middle of the map alone."""
    return name.endswith("_valid")


def test_every_model_has_a_count_with_its_source_and_a_small_form():
    assert set(COUNTS) == set(SMALL) == set(NAMES)
    assert all(len(count.source) > 5 for count in COUNTS.values())
    assert {model_task(name) for name in NAMES} == {"segmentation"}


@pytest.mark.parametrize(
    ("name", "count"),
    [*COUNTS.items(), *(exhaustive(*case) for case in OTHER_COUNTS)],
    ids=[f"{name}-{count.params}" for name, count in (*COUNTS.items(), *OTHER_COUNTS)],
)
def test_parameter_count(name, count):
    options = tuple(count.options.items())
    variables, logits = shapes(name, count.image_shape, count.num_classes, options)
    assert num_parameters(variables["params"]) == count.params
    assert set(variables) <= {"params", "batch_stats"}
    assert set(variables["params"]) == {"backbone", "head"}
    assert logits.shape[-1] == count.num_classes
    if not valid(name):
        assert logits.shape == (1, *count.image_shape[:-1], count.num_classes)


# The first three take turns: one for each network, the rest is left to the exhaustive tests.
CHANNELS_AND_CLASSES = [(1, 1), (3, 21), (5, 1), (1, 21), (3, 1), (5, 21)]


@pytest.mark.parametrize(
    ("name", "channels", "classes"),
    [
        (name, *case) if turn == number % 3 else exhaustive(name, *case)
        for number, name in enumerate(NAMES)
        for turn, case in enumerate(CHANNELS_AND_CLASSES)
    ],
)
def test_channels_and_classes(name, channels, classes):
    model = create_model(name, num_classes=1, **SMALL[name])
    image_shape = (*[model.min_size] * model.spatial_dims, channels)
    variables, logits = small(name, image_shape, classes)
    trained, updates = trained_shapes(name, variables, image_shape, classes)
    assert logits.shape[-1] == classes
    assert logits.dtype == jnp.float32
    assert trained == logits
    # Auxiliary outputs are compared with the same labels, so they have the logits' shape.
    for auxiliary in jax.tree.leaves(updates.get("aux_logits", {})):
        assert auxiliary.shape == logits.shape


@pytest.mark.parametrize("more", [exhaustive((0, 5, 14)), (3, 8, 1)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes(name, more):
    model = create_model(name, num_classes=2, **SMALL[name])
    size = tuple(model.min_size + extra for extra in more[: model.spatial_dims])
    logits = small(name, (*size, 1), 2)[1]
    if not valid(name):
        assert logits.shape == (1, *size, 2)
    assert min(logits.shape) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_small_image_is_one_sentence(name):
    model = create_model(name, num_classes=2, **SMALL[name])
    if model.min_size == 1:
        return
    image = jnp.zeros((1, *[model.min_size - 1] * model.spatial_dims, 1))
    with pytest.raises(UserError, match=f"smallest size is {model.min_size}x{model.min_size}"):
        jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))


# A U-Net, and a decoder on an encoder; the others are compiled by the slow tests.
QUICK = {"unet_bn", "fcn32s"}
# Of these, another network that is compiled has all parts.
KIN = {"unet", "unet_valid", "unet_bilinear", "fcn16s", "fcn8s", "encoder_unet",
       "encoder_unetplusplus", "r2_unet", "resunet", "u2net", "unext", "vnet_2d", "deeplabv3",
       "pan"}  # fmt: skip


@pytest.mark.parametrize(
    "name", [n if n in QUICK else exhaustive(n) if n in KIN else slow(n) for n in NAMES]
)
def test_forward_and_gradient(name, monkeypatch):
    """Finite logits and gradients; every parameter gets one; bf16 comes near float32."""
    # The form for few channels, which all these small networks would take, compiles slowly; it has
    # tests of its own.
    monkeypatch.setattr(conv, "_FEW_CHANNELS", 0)
    model = create_model(name, num_classes=3, **SMALL[name])
    side = model.min_size + 3
    shape = (2, *[side] * model.spatial_dims, 2)
    images = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    variables = jax.jit(lambda: model.init(streams(), images[:1], train=False))()
    rest = {k: v for k, v in variables.items() if k != "params"}

    def loss(params):
        logits, updates = model.apply(
            {"params": params, **rest},
            images,
            train=True,
            rngs=streams(),
            mutable=[*rest, "aux_logits"],
        )
        auxiliary = jax.tree.leaves(updates.get("aux_logits", {}))
        return sum(jnp.square(x - 1.0).mean() for x in (logits, *auxiliary)), logits

    @jax.jit
    def both(params):
        gradient, logits = jax.grad(loss, has_aux=True)(params)
        evaluated = model.apply({"params": params, **rest}, images, train=False)
        half = model.clone(**_halves(name)).apply({"params": params, **rest}, images, train=False)
        return gradient, logits, evaluated, half

    gradient, logits, evaluated, half = both(variables["params"])
    assert evaluated.shape == logits.shape == half.shape
    assert half.dtype == jnp.float32
    assert np.isfinite(logits).all()
    scale = float(jnp.abs(evaluated).max())
    assert float(jnp.abs(half - evaluated).max()) < 0.1 * scale + 0.02
    norms = jax.tree.map(lambda g: float(jnp.linalg.norm(g)), gradient)
    assert np.isfinite(jax.tree.leaves(norms)).all()
    idle = [jax.tree_util.keystr(p) for p, n in jax.tree_util.tree_leaves_with_path(norms) if not n]
    assert len(idle) < 0.2 * len(jax.tree.leaves(norms)), f"parameters without gradient: {idle}"


def _halves(name):
    twin = create_model(name, num_classes=3, dtype="bfloat16", **SMALL[name])
    return {"backbone": twin.backbone, "head": twin.head}
