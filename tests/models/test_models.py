"""One contract for all models, and their exact parameter counts against the published ones."""

import functools
import importlib
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import catalog, create_model, list_models, model_options
from cnnlab.nn import conv
from cnnlab.registry import MODELS
from cnnlab.train import num_parameters
from tests.marks import exhaustive, slow
from tests.models.counts import COUNTS, OTHER_COUNTS


def features_and_logits(model, images):
    features = model.features(images)
    return features, model.head(features, train=False)


@functools.cache
def shapes(name, image_shape, num_classes, **options):
    """Shapes of the variables, the feature maps and the logits."""
    model = create_model(name, num_classes=num_classes, **options)
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    (features, logits), variables = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, method=features_and_logits), image
    )
    return variables, features, logits


_SIZES = {"stage_sizes", "depth", "width", "widths", "group_width", "growth_rate", "blocks",
          "stages", "stem_width", "stem_kernel", "patch_size", "image_size", "heads", "window",
          "hidden", "channels", "dropout_rate", "stochastic_depth_rate", "norm_epsilon",
          "norm_momentum", "stem_channels", "last_channels", "scale", "depths", "entry",
          "middle_blocks", "pretrained_window", "branch_blocks", "first_width"}  # fmt: skip


def kind(name):
    """What distinguishes the network of a name from others of its file, but for sizes."""
    family = importlib.import_module(MODELS.entry(name).details["module"])
    options = {k: v for k, v in family.VARIANTS[name].items() if k not in _SIZES}
    return family.__name__, tuple(sorted(options.items()))


# The others differ from these in sizes only.
SMALLEST = {kind(n): n for n in sorted(COUNTS, key=lambda n: -COUNTS[n].params)}.values()


def test_every_model_has_a_count_with_its_source():
    assert set(COUNTS) == set(list_models(task="classification"))
    assert all(len(count.source) > 5 for count in COUNTS.values())


@pytest.mark.parametrize("name", [n if n in SMALLEST else exhaustive(n) for n in COUNTS])
def test_parameter_count_and_strides(name):
    image_shape, classes, params, batch_stats, _ = COUNTS[name]
    variables, features, logits = shapes(name, image_shape, classes)
    assert num_parameters(variables["params"]) == params
    assert num_parameters(variables.get("batch_stats", {})) == batch_stats
    assert set(variables) <= {"params", "batch_stats"}
    assert set(variables["params"]) == {"backbone", "head"}
    assert logits.shape == (1, classes)
    check_strides(create_model(name, num_classes=classes), features, image_shape[:2])


@pytest.mark.parametrize(("name", "image_shape", "classes", "options", "count", "_"), OTHER_COUNTS)
def test_parameter_count_of_other_forms(name, image_shape, classes, options, count, _):
    assert num_parameters(shapes(name, image_shape, classes, **options)[0]["params"]) == count


def check_strides(model, features, size):
    strides = model.backbone.strides
    assert len(features) == len(strides)
    assert sorted(strides) == list(strides)
    for feature, stride in zip(features, strides, strict=True):
        for extent, pixels in zip(feature.shape[1:3], size, strict=True):
            if stride == 0:
                assert extent == 1
            else:
                # Unpadded convolutions and poolings lose pixels at the edges: LeNet's second
                # convolution and Inception v3's stem four, AlexNet's and NiN's poolings one each.
                assert -(-pixels // stride) - 4 <= extent <= -(-pixels // stride) + 1


# A small network of each kind: an entry stands for all models whose table differs from its own in
# sizes only, see `kind`.
SMALL = {
    "mlp": {},
    "lenet5": {},
    "lenet": {},
    "lenet_relu": {},
    "alexnet": {"channels": (4, 4, 4, 4, 4), "hidden": (8, 8)},
    "alexnet_2012": {"channels": (4, 4, 4, 4, 4), "hidden": (8, 8)},
    "alexnet_d2l": {"channels": (4, 4, 4, 4, 4), "hidden": (8,), "norm": "group"},
    "vgg11": {"width": 4, "stage_sizes": (1, 2), "hidden": (8,)},
    "vgg11_bn": {"width": 4, "stage_sizes": (1, 1), "hidden": (8,), "norm_place": "after"},
    "nin": {"blocks": (((4, 4), 5, 2, 0, "max"), ((6, 6), 3, 1, 1, "max"))},
    "nin_cifar": {"blocks": (((4, 4), 5, 1, 2, "max"), ((6, 6), 3, 1, 1, "avg"))},
    "googlenet_v1": {"width": 0.1},
    "googlenet": {"width": 0.1, "aux_hidden": 64},
    "inception_v3": {"width": 0.05, "aux_hidden": 8},
    "inception_v4": {"width": 0.05, "stage_sizes": (1, 1, 1)},
    "inception_resnet_v2": {"width": 0.05, "stage_sizes": (1, 1, 2)},
    "legacy_xception": {"width": 0.01, "middle_blocks": 1},
    "xception41": {"width": 0.01, "middle_blocks": 1},
    "xception41p": {"width": 0.01, "middle_blocks": 1},
    "resnet18": {"width": 4, "stage_sizes": (1, 1), "stem": "cifar"},
    "resnet50": {"width": 4, "stage_sizes": (1, 1)},
    "resnet18_d2l": {"width": 4, "stage_sizes": (1, 1)},
    "resnext50_32x4d": {"width": 16, "stage_sizes": (1,)},
    "resnext101_64x4d": {"width": 16, "stage_sizes": (1,)},
    "seresnet18": {"width": 4, "stage_sizes": (1, 1)},
    "seresnet50": {"width": 4, "stage_sizes": (1, 1), "stride_on": "1x1"},
    "seresnext50_32x4d": {"width": 16, "stage_sizes": (1,)},
    "resnet18d": {"width": 8, "stage_sizes": (1, 1)},
    "resnet50d": {"width": 8, "stage_sizes": (1, 1)},
    "resnet10t": {"width": 8, "stage_sizes": (1, 1)},
    "resnet26t": {"width": 8, "stage_sizes": (1, 1)},
    "resnext50d_32x4d": {"width": 16, "stage_sizes": (1, 1)},
    "seresnet152d": {"width": 8, "stage_sizes": (1, 1)},
    "seresnext26d_32x4d": {"width": 16, "stage_sizes": (1, 1)},
    "seresnext26t_32x4d": {"width": 16, "stage_sizes": (1, 1)},
    "seresnext101_64x4d": {"width": 16, "stage_sizes": (1, 1)},
    "ecaresnet26t": {"width": 8, "stage_sizes": (1, 1)},
    "ecaresnet50d": {"width": 8, "stage_sizes": (1, 1)},
    "ecaresnetlight": {"width": 8, "stage_sizes": (1, 1)},
    "resnet20": {"width": 4, "depth": 8},
    "resnet9": {"width": 4},
    "resnetv2_50": {"width": 4, "stem_width": 4, "stage_sizes": (1, 1)},
    "resnetv2_18": {"width": 4, "stem_width": 4, "stage_sizes": (1, 1), "norm": "group"},
    "wrn_16_4": {"width": 4, "stage_sizes": (1, 1), "block_dropout_rate": 0.1},
    "densenet121": {"stage_sizes": (1, 2), "growth_rate": 4},
    "densenet_d2l": {"stage_sizes": (2, 1), "growth_rate": 4},
    "densenet_bc_100_12": {"stage_sizes": (1, 1), "growth_rate": 4},
    "regnet_x_400mf": {"stage_sizes": (1, 1), "widths": (8, 16), "group_width": 16},
    "regnet_y_400mf": {"stage_sizes": (1, 1), "widths": (8, 16), "group_width": 4},
    "repvgg_a0": {"stage_sizes": (1, 2), "widths": (8, 8, 12)},
    "repvgg_b1g4": {"stage_sizes": (1, 2), "widths": (8, 8, 12)},
    "res2net50_26w_4s": {"width": 8, "stage_sizes": (2, 1)},
    "res2next50": {"width": 16, "stage_sizes": (1, 1)},
    "res2net50d": {"width": 8, "stage_sizes": (1, 1)},
    "resnest14d": {"width": 8, "stem_width": 8, "stage_sizes": (1, 1)},
    "resnest50d_1s4x24d": {"width": 16, "stem_width": 8, "stage_sizes": (1, 1)},
    "resnest50d_4s2x40d": {"width": 32, "stem_width": 8, "stage_sizes": (1, 1)},
    "dla34": {"depths": (1, 2), "widths": (4, 4, 8, 8)},
    "dla46_c": {"depths": (2,), "widths": (4, 4, 8)},
    "dla46x_c": {"depths": (1, 1), "widths": (4, 4, 32, 32)},
    "dla102": {"depths": (1, 2), "widths": (4, 4, 8, 8)},
    "dla102x": {"depths": (1, 1), "widths": (4, 4, 32, 32)},
    "dla102x2": {"depths": (1, 1), "widths": (4, 4, 32, 32)},
    "dla60_res2net": {"depths": (1, 1), "widths": (4, 4, 8, 8)},
    "dla60_res2next": {"depths": (1, 1), "widths": (4, 4, 32, 32)},
    "hrnet_w18_small": {
        "width": 4,
        "stage_sizes": (1, 1),
        "branch_blocks": 1,
        "first_width": 4,
        "stem_width": 4,
        "head_width": 4,
        "head_features": 8,
    },
    "hrnet_w18_ssld": {
        "width": 4,
        "stage_sizes": (1, 1),
        "branch_blocks": 1,
        "first_width": 4,
        "stem_width": 4,
        "head_width": 4,
        "head_features": 8,
    },
    "convnext_tiny": {"stage_sizes": (1, 1), "width": 8, "patch_size": 2},
    "convnextv2_atto": {"stage_sizes": (1, 1), "width": 8, "patch_size": 2},
    "squeezenet1_1": {"stem_width": 6, "stages": (((4, 4),), ((4, 6),))},
    "shufflenet_v2_x0_5": {"widths": (6, 8, 10, 12), "stage_sizes": (2, 1)},
    "vit_ti_16": {"width": 8, "depth": 2, "heads": 2, "patch_size": 8, "image_size": 32},
    "vit_s_14_dinov2": {"width": 8, "depth": 1, "heads": 2, "patch_size": 8, "image_size": 40},
    "vit_small_patch14_reg4_dinov2": {
        "width": 8,
        "depth": 1,
        "heads": 2,
        "patch_size": 8,
        "image_size": 40,
    },
    "deit_tiny_distilled_patch16_224": {"width": 8, "depth": 1, "heads": 2, "patch_size": 8},
    "deit3_small_patch16_224": {"width": 8, "depth": 1, "heads": 2, "patch_size": 8},
    "swin_t": {"width": 8, "stage_sizes": (2, 1), "heads": (1, 2), "window": 3, "patch_size": 2},
    "swin_v2_t": {"width": 8, "stage_sizes": (2, 1), "heads": (1, 2), "patch_size": 2},
    "maxvit_t": {
        "stage_sizes": (2, 1),
        "widths": (4, 8),
        "stem_width": 4,
        "head_width": 4,
        "window": 3,
    },
    "mit_b0": {
        "stage_sizes": (2, 1),
        "widths": (8, 12),
        "heads": (1, 2),
        "reductions": (2, 1),
    },
    "mobilenetv1_100": {"stages": ((8, 1, 1), (8, 2, 2)), "width": 0.1},
    "mobilenet_v2": {"stages": ((1, 8, 1, 1), (2, 8, 2, 2)), "width": 0.1},
    "mobilenetv2_110d": {"stages": ((1, 8, 1, 1), (2, 8, 2, 2)), "width": 0.1},
    "mobilenet_v3_small": {
        "blocks": ((3, 16, 8, True, "RE", 2), (5, 16, 8, True, "HS", 1)),
        "hidden": 16,
        "width": 0.2,
    },
    "mobilenetv4_conv_small": {
        "stages": (
            (("conv", 0, 3, 1, 8, 2), ("fused", 0, 3, 2, 8, 1)),
            (("uib", 3, 5, 2, 8, 2), ("uib", 3, 0, 2, 8, 1), ("uib", 0, 0, 2, 8, 1)),
        ),
        "stem_channels": 8,
        "width": 0.1,
        "hidden": 16,
    },
    "mobilenetv4_conv_aa_medium": {
        "stages": ((("fused", 0, 3, 2, 8, 2), ("uib", 3, 0, 2, 8, 2)),),
        "stem_channels": 8,
        "width": 0.1,
        "hidden": 16,
    },
    "mobilenetv4_conv_blur_medium": {
        "stages": ((("fused", 0, 3, 2, 8, 2), ("uib", 3, 0, 2, 8, 2)),),
        "stem_channels": 8,
        "width": 0.1,
        "hidden": 16,
    },
    "ghostnet_050": {
        "blocks": ((3, 16, 8, True, 2), (3, 16, 8, False, 1)),
        "width": 0.5,
        "hidden": 16,
    },
    "ghostnetv2_100": {
        "blocks": ((3, 16, 8, True, 2), (3, 16, 8, False, 1), (3, 16, 8, False, 1)),
        "width": 0.5,
        "hidden": 16,
    },
    "edgenext_xx_small": {
        "stage_sizes": (1, 2),
        "widths": (8, 12),
        "kernels": (3, 5),
        "attention_blocks": (0, 1),
        "scales": (2, 3),
        "position_embeddings": (False, True),
        "heads": 2,
        "patch_size": 2,
    },
    "efficientnet_b0": {"stages": ((1, 3, 8, 1, 1), (2, 5, 8, 2, 2)), "width": 0.1},
    "tf_efficientnet_lite0": {"stages": ((1, 3, 8, 1, 1), (2, 5, 8, 2, 2)), "width": 0.1},
    "mnasnet0_5": {"stages": ((1, 3, 8, 1, 1), (2, 5, 8, 2, 2)), "width": 0.1},
    "efficientnet_v2_s": {
        "stages": ((1, 3, 8, 2, 1), (2, 3, 8, 1, 2), (2, 3, 8, 1, 1), (2, 3, 8, 1, 1)),
    },
    "tf_efficientnetv2_b0": {
        "stages": ((1, 3, 8, 1, 1), (2, 3, 8, 1, 2), (2, 3, 8, 1, 1), (2, 3, 8, 1, 1)),
        "stem_channels": 8,
        "last_channels": 16,
    },
    "efficientnetv2_rw_s": {
        "stages": ((1, 3, 8, 1, 1), (2, 3, 8, 1, 2), (2, 3, 8, 1, 1), (2, 3, 8, 1, 1)),
        "last_channels": 16,
    },
}


def test_catalog_is_complete():
    """It names every file of architectures, and each name of each file, in its order."""
    folder = Path(catalog.__file__).parent
    found = {}
    for task in catalog.FAMILIES:
        for path in (folder / task).rglob("*.py"):
            name = ".".join(path.relative_to(folder).with_suffix("").parts)
            module = importlib.import_module(f"cnnlab.models.{name}")
            if hasattr(module, "VARIANTS"):
                found[task, name] = tuple(module.VARIANTS)
    listed = {
        (task, name): variants
        for task, families in catalog.FAMILIES.items()
        for name, variants in families.items()
    }
    assert found == listed


def test_every_kind_of_model_has_a_small_form():
    assert {kind(name) for name in list_models(task="classification")} == {
        kind(name) for name in SMALL
    }


def small(name, dtype):
    """A small network, images for it, its loss and its variables (as a function to compile)."""
    model = create_model(name, num_classes=7, dtype=dtype, **SMALL[name])
    size = (max(35, model.min_size), max(41, model.min_size))
    if name == "lenet5":  # its dense layers fit one size, as any network's without pooling
        size = (32, 32)
    images = jax.random.normal(jax.random.key(1), (2, *size, 5))

    def loss(params, collections):
        logits, updates = model.apply(
            {"params": params, **collections},
            images,
            train=True,
            rngs={"dropout": jax.random.key(2)},
            mutable=[*collections, "aux_logits"],
        )
        auxiliary = jax.tree.leaves(dict(updates).pop("aux_logits", {}))
        total = sum(jnp.square(scores).mean() for scores in (logits, *auxiliary))
        return total, (logits, {k: v for k, v in updates.items() if k in collections})

    return model, images, jax.grad(loss, has_aux=True)


def init(model, images):
    variables = dict(model.init(jax.random.key(0), images, train=False))
    return variables.pop("params"), variables


# The others are compiled by the slow tests, and traced, with their gradients, by the next one.
QUICK = {"mlp", "lenet_relu", "resnet18", "mobilenet_v2"}
# Traced only: stems, shortcuts and attention of resnet18d, seresnext26t and ecaresnet26t, blocks of
# repvgg_a0, res2net50_26w_4s and resnest50d_4s2x40d, the padding or the ends of
# tf_efficientnet_lite0, blocks of mobilenetv4_conv_small, in other pairs.
PAIRED = {
    "resnet50d", "resnet10t", "resnet26t", "resnext50d_32x4d", "seresnet152d",
    "seresnext26d_32x4d", "seresnext101_64x4d", "ecaresnet50d", "ecaresnetlight", "repvgg_b1g4",
    "tf_efficientnetv2_b0", "mobilenetv2_110d", "mobilenetv4_conv_aa_medium",
    "res2next50", "res2net50d", "resnest50d_1s4x24d",
    "dla46_c", "dla46x_c", "dla102x", "dla102x2", "dla60_res2next", "hrnet_w18_ssld",
}  # fmt: skip


# As deep as googlenet_v1, of the same blocks.
DEEP = {"googlenet", "inception_v3"}


@pytest.mark.parametrize(
    "name",
    [
        n if n in QUICK else exhaustive(n) if n in DEEP else slow(n)
        for n in SMALL
        if n not in PAIRED
    ],
)
def test_contract(name, monkeypatch):
    """Init, forward and gradient; odd sizes, five channels; evaluation is deterministic."""
    # The form for few channels, which all these small networks would take, compiles slowly; it has
    # tests of its own.
    monkeypatch.setattr(conv, "_FEW_CHANNELS", 0)
    model, images, grad = small(name, "float32")
    params, collections = jax.jit(functools.partial(init, model))(images)
    grads, (logits, updates) = jax.jit(grad)(params, collections)
    assert logits.shape == (2, 7)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    still = [path for path, leaf in leaves(grads) if path.endswith("kernel") and not leaf.any()]
    assert not still
    moved = [np.abs(new - old).max() > 0 for (_, new), (_, old) in
             zip(leaves(updates), leaves(collections), strict=True)]  # fmt: skip
    assert all(moved)
    evaluate = jax.jit(
        lambda v, x: model.apply(v, x, mutable=list(collections), method=features_and_logits)
    )
    variables = {"params": params, **collections}
    (features, first), stats = evaluate(variables, images)
    check_strides(model, features, images.shape[1:3])
    assert all(
        (new == old).all()
        for new, old in zip(jax.tree.leaves(stats), jax.tree.leaves(collections), strict=True)
    )
    np.testing.assert_array_equal(first, evaluate(variables, images)[0][1])
    assert evaluate._cache_size() == 1


@pytest.mark.parametrize("name", [slow(n) if n in PAIRED else n for n in SMALL])
def test_bfloat16_computes_in_it_and_keeps_float32_outside(name):
    model, images, grad = small(name, "bfloat16")
    (features, _), variables = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, method=features_and_logits), images
    )
    params, collections = variables.pop("params"), variables
    grads, (logits, updates) = jax.eval_shape(grad, params, collections)
    outside = jax.tree.leaves((params, collections, grads, updates))
    assert {leaf.dtype for leaf in outside} == {jnp.dtype("float32")}
    assert logits.dtype == jnp.float32
    assert logits.shape == (2, 7)
    check_strides(model, features, images.shape[1:3])
    assert {feature.dtype for feature in features} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize(
    "name",
    ["lenet_relu", "resnet18", slow("densenet121"), slow("convnext_tiny"), slow("efficientnet_b0")],
)
def test_bfloat16_is_near_float32(name, monkeypatch):
    monkeypatch.setattr(conv, "_FEW_CHANNELS", 0)
    model, images, _ = small(name, "float32")
    params, collections = jax.jit(functools.partial(init, model))(images)
    exact, rough = (
        jax.jit(functools.partial(small(name, dtype)[0].apply, train=False))(
            {"params": params, **collections}, images
        )
        for dtype in ("float32", "bfloat16")
    )
    assert 0 < np.abs(exact - rough).max() < 0.05 * np.abs(exact).max()


def leaves(tree):
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


@pytest.mark.parametrize("norm", ["batch", "layer", "group", "none"])
def test_resnet_norms(norm):
    model = create_model("resnet18", num_classes=3, width=8, norm=norm, stem="cifar")
    variables = jax.eval_shape(
        lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)
    )
    assert ("batch_stats" in variables) == (norm == "batch")


def test_zero_init_residual_starts_as_identity():
    model = create_model(
        "resnet18",
        num_classes=3,
        width=4,
        stem="cifar",
        stage_sizes=(2,),
        zero_init_residual=True,
    )
    images = jax.random.normal(jax.random.key(1), (1, 16, 16, 3))
    variables = jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))(images)
    scales = variables["params"]["backbone"]["stage1_block1"]["norm2"]["scale"]
    assert not scales.any()
    maps = jax.jit(functools.partial(model.apply, method="features"))
    stem_and_stage1 = maps(variables, images)[0]
    # Stage 1 has no projection: with its residual branches silent, it passes the stem on.
    variables = jax.tree.map(lambda x: x, variables)
    for block in ("stage1_block1", "stage1_block2"):
        for layer in ("conv1", "conv2"):
            variables["params"]["backbone"][block][layer]["kernel"] *= 2.0
    np.testing.assert_array_equal(stem_and_stage1, maps(variables, images)[0])


def test_lenet_layer_shapes():
    """The shapes that d2l.ai prints for a 28x28 image (sec. 7.6.1)."""
    model = create_model("lenet", num_classes=10)
    image = jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    features = jax.eval_shape(lambda v, x: model.apply(v, x, method="features"), variables, image)
    assert [f.shape for f in features] == [(1, 14, 14, 6), (1, 5, 5, 16)]


def test_lenet5_layers_have_the_papers_parameters():
    """LeCun et al. 1998, sec. II-B: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164."""
    params = shapes("lenet5", (32, 32, 1), 10)[0]["params"]
    backbone, head = params["backbone"], params["head"]
    c3 = sum(num_parameters(v) for k, v in backbone.items() if k.startswith("c3"))
    counts = [num_parameters(backbone["c1"]), num_parameters(backbone["s2"]), c3,
              num_parameters(backbone["s4"]), num_parameters(head["c5"]),
              num_parameters(head["f6"])]  # fmt: skip
    assert counts == [156, 12, 1_516, 32, 48_120, 10_164]


def test_dropout_drops_in_training_only():
    model = create_model("mlp", num_classes=3, dropout_rate=0.5)
    images = jnp.ones((2, 4, 4, 1))
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), images)

    @jax.jit
    def apply(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(variables, images, train=True, rngs=rngs)

    assert (apply(1) == apply(1)).all()
    assert (apply(1) != apply(2)).any()


def test_backbone_alone_is_a_module():
    """A part can be lifted out and used in other code."""
    backbone = create_model("resnet18", num_classes=3, stem="cifar", width=4).backbone
    assert isinstance(backbone, nn.Module)
    images = jnp.zeros((1, 32, 32, 3))
    maps, _ = jax.eval_shape(
        lambda: backbone.init_with_output(jax.random.key(0), images, train=False)
    )
    assert [m.shape[1] for m in maps] == [32, 16, 8, 4]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("resnet81", {}, "Unknown model 'resnet81'. Did you mean 'resnet18'"),
        ("resnet18", {"stm": "cifar"}, "has no option 'stm'. Did you mean 'stem'"),
        ("resnet18", {"stem": "cifra"}, "choose imagenet"),
        ("resnet18", {"norm": "bach"}, "Unknown norm 'bach'. Did you mean 'batch'"),
        ("lenet", {"activation": "rleu"}, "Unknown activation 'rleu'. Did you mean 'relu'"),
        ("resnext50_32x4d", {"width": 8}, "set width=16 or more"),
        ("res2net50_26w_4s", {"scale": 1}, "scale=1 must be at least 2"),
        ("dla34", {"widths": (8, 8, 8)}, "one for each of the 4 stages of depths"),
        ("dla34", {"groups": 2}, "options of bottleneck blocks"),
        ("dla60", {"stem": "cifra"}, "choose imagenet"),
        ("hrnet_w18_small", {"stage_sizes": ()}, "at least one number"),
        ("hrnet_w18_small", {"stem": "deep"}, "choose imagenet"),
        ("resnest14d", {"radix": 3}, "radix=3 must be at least 1, and divide the 64 channels"),
        ("lenet", {"pool": "mean"}, "Unknown pooling 'mean'"),
        ("edgenext_small", {"heads": 7}, "must be multiples of heads=7: change either"),
        ("edgenext_small", {"scales": (2, 2, 3)}, "one value for each of the 4 stages"),
        ("edgenext_small", {"scales": (2, 1, 3, 4)}, "cannot be split into scales=1 groups"),
        (
            "mobilenetv4_conv_small",
            {"stages": ((("uip", 3, 3, 2, 8, 2),),)},
            "must have a kind (conv, fused or uib)",
        ),
        (
            "mobilenetv4_conv_small",
            {"stages": ((("uib", 0, 0, 2, 8, 2),),)},
            "a stride and no kernel that could stride",
        ),
        (
            "mobilenetv4_conv_small",
            {"downsampling": "max"},
            "Unknown downsampling 'max': choose stride, avg or blur",
        ),
    ],
)
def test_bad_names(name, options, sentence):
    with pytest.raises(UserError, match=sentence.replace("(", "\\(").replace(")", "\\)")):
        shapes(name, (64, 64, 3), 10, **options)


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("res2net50_26w_4s", 32, "smallest size is 33x33.*stem=cifar"),
        ("resnet18", 32, "smallest size is 33x33.*stem=cifar"),
        ("lenet", 11, "smallest size is 12x12"),
    ],
)
def test_small_images(name, size, sentence):
    with pytest.raises(UserError, match=sentence):
        shapes(name, (size, size, 3), 10)


def test_integer_images_are_refused():
    model = create_model("mlp", num_classes=3)
    with pytest.raises(UserError, match="normalised float images, got uint8"):
        model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1), jnp.uint8), train=False)


def test_none_of_a_flag_is_the_word_where_a_text_is_meant():
    """`--config.model.options.norm=none` arrives as None."""
    variables, _, _ = shapes("resnet18", (32, 32, 3), 10, stem="cifar", norm=None)
    assert "batch_stats" not in variables
    with pytest.raises(UserError, match="Unknown activation 'none'"):
        shapes("lenet", (28, 28, 1), 10, activation=None)


def test_options_have_defaults():
    assert model_options("resnet50")["stem"] == "imagenet"
    assert model_options("resnet50")["stage_sizes"] == (3, 4, 6, 3)
