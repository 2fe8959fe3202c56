"""Backbones that dilate in place of strides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models import create_model

SMALL = {"width": 4, "stage_sizes": (1, 1, 2)}
BOTTLENECKS = SMALL | {"bottleneck": True}
NETWORKS = {
    "basic": ("resnet18", SMALL),
    "stride on 3x3": ("resnet50", BOTTLENECKS),
    "stride on 1x1": ("resnet50", BOTTLENECKS | {"stride_on": "1x1"}),
    "shortcuts that average": ("resnet18d", SMALL | {"width": 8}),
    "parts of channels": ("res2net50d", SMALL | {"width": 8}),
    "separable convolutions": ("xception41", {"width": 0.01, "middle_blocks": 1}),
    "inverted residuals": (
        "mobilenet_v2",
        {"stages": [(1, 4, 1, 1), (2, 6, 1, 2), (2, 8, 1, 2), (2, 12, 2, 2)]},
    ),
    # Without squeeze-and-excitation, whose averages are of all positions.
    "inverted residuals, second version": (
        "mobilenet_v3_small",
        {
            "blocks": [
                (3, 8, 4, False, "RE", 2),
                (5, 12, 6, False, "HS", 2),
                (3, 16, 6, False, "RE", 2),
                (5, 16, 6, False, "HS", 1),
            ]
        },
    ),
}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(
            *network,
            id=kind,
            marks=[pytest.mark.slow] if kind.startswith(("stride", "separable")) else [],
        )
        for kind, network in NETWORKS.items()
    ],
)
def test_every_second_position_is_the_undilated_map(name, options):
    """With the same weights; so the strides moved out of the network and nothing else changed."""
    images = jnp.asarray(np.random.default_rng(0).normal(size=(1, 45, 38, 3)), jnp.float32)
    models = {
        stride: create_model(name, num_classes=2, output_stride=stride, **options)
        for stride in (0, 8, 4)
    }

    @jax.jit
    def maps():
        variables = models[0].init(jax.random.key(0), images, train=False)
        return {
            stride: model.apply(variables, images, method="features")
            for stride, model in models.items()
        }

    found = maps()
    strides = models[0].backbone.strides
    assert strides[:4] == (2, 4, 8, 16)
    for output_stride in (8, 4):
        dilated = tuple(min(stride, output_stride) for stride in strides)
        assert models[output_stride].backbone.strides == dilated
        for before, after, stride in zip(found[0], found[output_stride], strides, strict=True):
            step = max(1, stride // output_stride)
            np.testing.assert_allclose(after[:, ::step, ::step], before, rtol=1e-4, atol=1e-5)


def test_dilate_first_is_another_function_with_the_same_parameters():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(1, 40, 40, 3)), jnp.float32)
    plain = create_model("resnet18", num_classes=2, output_stride=8, **SMALL)
    first = create_model("resnet18", num_classes=2, output_stride=8, dilate_first=True, **SMALL)

    @jax.jit
    def maps():
        variables = plain.init(jax.random.key(0), images, train=False)
        return [model.apply(variables, images, method="features") for model in (plain, first)]

    (*before, last), (*after, other) = maps()
    for x, y in zip(before, after, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert float(jnp.abs(last - other).max()) > 1e-3


@pytest.mark.parametrize("pool_first", [False, True])
def test_dilated_split_attention_has_finer_maps_and_the_same_parameters(pool_first):
    """Its attention averages all positions, so its maps are not those of the undilated network."""
    images = jax.ShapeDtypeStruct((1, 45, 38, 3), jnp.float32)
    shapes = {}
    for stride in (0, 8):
        model = create_model(
            "resnest14d", num_classes=2, output_stride=stride, pool_first=pool_first, **SMALL
        )
        maps, shapes[stride] = jax.eval_shape(
            lambda x, m=model: m.init_with_output(jax.random.key(0), x, method="features"), images
        )
    assert shapes[0] == shapes[8]
    assert [x.shape[1:3] for x in maps] == [(23, 19), (12, 10), (6, 5), (6, 5)]
