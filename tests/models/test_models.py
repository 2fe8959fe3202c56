"""One contract for all models, and their exact parameter counts against the published ones."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model, list_models, model_options
from cnnlab.train import num_parameters

# name: (image shape, classes, options, parameters, where the number is published)
COUNTS = {
    "mlp": ((28, 28, 1), 10, {}, 203_530, "784*256 + 256 + 256*10 + 10, d2l.ai sec. 5.2"),
    "lenet5": ((32, 32, 1), 10, {}, 60_000, "LeCun et al. 1998, sec. II-B"),
    "lenet": ((28, 28, 1), 10, {}, 61_706, "d2l.ai sec. 7.6"),
    "lenet_relu": ((28, 28, 1), 10, {}, 61_706, "as lenet"),
    "resnet18": ((224, 224, 3), 1000, {}, 11_689_512, "torchvision 0.28"),
    "resnet34": ((224, 224, 3), 1000, {}, 21_797_672, "torchvision 0.28"),
    "resnet50": ((224, 224, 3), 1000, {}, 25_557_032, "torchvision 0.28"),
    "resnet101": ((224, 224, 3), 1000, {}, 44_549_160, "torchvision 0.28"),
    "resnet152": ((224, 224, 3), 1000, {}, 60_192_808, "torchvision 0.28"),
}
OTHER_COUNTS = [
    ("lenet", (32, 32, 3), 10, {}, 83_126),  # d2l.ai's LeNet at CIFAR's shape
    ("resnet18", (32, 32, 3), 10, {"stem": "cifar"}, 11_173_962),  # kuangliu/pytorch-cifar
]
# Running means and variances: as many as torchvision's buffers.
BATCH_STATS = {"resnet18": 9_600, "resnet34": 17_024, "resnet50": 53_120, "resnet101": 105_344,
               "resnet152": 151_424}  # fmt: skip


def shapes(name, image_shape, num_classes, **options):
    model = create_model(name, num_classes=num_classes, **options)
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)


def test_every_model_has_a_published_count():
    assert set(COUNTS) == set(list_models())


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_count(name):
    image_shape, classes, options, count, _ = COUNTS[name]
    variables = shapes(name, image_shape, classes, **options)
    assert num_parameters(variables["params"]) == count
    assert num_parameters(variables.get("batch_stats", {})) == BATCH_STATS.get(name, 0)


@pytest.mark.parametrize(("name", "image_shape", "classes", "options", "count"), OTHER_COUNTS)
def test_parameter_count_of_other_forms(name, image_shape, classes, options, count):
    assert num_parameters(shapes(name, image_shape, classes, **options)["params"]) == count


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_backbone_and_head(name):
    image_shape, classes, options, _, _ = COUNTS[name]
    assert set(shapes(name, image_shape, classes, **options)["params"]) == {"backbone", "head"}


@pytest.mark.parametrize("size", [(33, 33), (47, 35), (224, 224)])
@pytest.mark.parametrize("name", COUNTS)
def test_features_have_the_declared_strides(name, size):
    model = create_model(name, num_classes=3)
    image = jax.ShapeDtypeStruct((2, *size, 2), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    features = jax.eval_shape(lambda v, x: model.apply(v, x, method="features"), variables, image)
    strides = model.backbone.strides
    assert len(features) == len(strides)
    assert sorted(strides) == list(strides)
    for feature, stride in zip(features, strides, strict=True):
        for extent, pixels in zip(feature.shape[1:3], size, strict=True):
            if stride == 0:
                assert extent == 1
            else:
                # Unpadded convolutions (LeNet's second) lose up to four pixels of their input.
                assert -(-pixels // stride) - 4 <= extent <= -(-pixels // stride)


SMALL = {
    "mlp": {},
    "lenet5": {},
    "lenet": {},
    "lenet_relu": {},
    "resnet18": {"width": 4, "stem": "cifar", "stage_sizes": (1, 1)},
    "resnet50": {"width": 4, "stage_sizes": (1, 1)},
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SMALL)
def test_contract(name, dtype):
    """Init, forward and gradient; float32 logits and parameters; evaluation is deterministic."""
    model = create_model(name, num_classes=7, dtype=dtype, **SMALL[name])
    images = jax.random.normal(jax.random.key(1), (2, 35, 41, 5))
    if name == "lenet5":  # its dense layers fit one size, as any network's without pooling
        images = images[:, :32, :32]
    variables = jax.jit(lambda x: model.init(jax.random.key(0), x, train=False))(images)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}

    def loss(params, collections):
        logits, updates = model.apply(
            {"params": params, **collections},
            images,
            train=True,
            rngs={"dropout": jax.random.key(2)},
            mutable=list(collections),
        )
        return jnp.square(logits).mean(), (logits, updates)

    collections = {k: v for k, v in variables.items() if k != "params"}
    grads, (logits, updates) = jax.jit(jax.grad(loss, has_aux=True))(
        variables["params"], collections
    )
    assert logits.shape == (2, 7)
    assert logits.dtype == jnp.float32
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert all(np.abs(leaf).max() > 0 for path, leaf in leaves(grads) if path.endswith("kernel"))
    moved = [np.abs(new - old).max() > 0 for (_, new), (_, old) in
             zip(leaves(updates), leaves(collections), strict=True)]  # fmt: skip
    assert all(moved)
    evaluate = jax.jit(lambda v, x: model.apply(v, x, train=False, mutable=list(collections)))
    first, stats = evaluate(variables, images)
    assert all(
        (new == old).all()
        for new, old in zip(jax.tree.leaves(stats), jax.tree.leaves(collections), strict=True)
    )
    np.testing.assert_array_equal(first, evaluate(variables, images)[0])
    assert evaluate._cache_size() == 1


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
    stem_and_stage1 = model.apply(variables, images, method="features")[0]
    # Stage 1 has no projection: with its residual branches silent, it passes the stem on.
    variables = jax.tree.map(lambda x: x, variables)
    for block in ("stage1_block1", "stage1_block2"):
        for conv in ("conv1", "conv2"):
            variables["params"]["backbone"][block][conv]["kernel"] *= 2.0
    np.testing.assert_array_equal(
        stem_and_stage1, model.apply(variables, images, method="features")[0]
    )


def test_lenet_layer_shapes():
    """The shapes that d2l.ai prints for a 28x28 image (sec. 7.6.1)."""
    model = create_model("lenet", num_classes=10)
    image = jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    features = jax.eval_shape(lambda v, x: model.apply(v, x, method="features"), variables, image)
    assert [f.shape for f in features] == [(1, 14, 14, 6), (1, 5, 5, 16)]


def test_lenet5_layers_have_the_papers_parameters():
    """LeCun et al. 1998, sec. II-B: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164."""
    params = shapes("lenet5", (32, 32, 1), 10)["params"]
    backbone, head = params["backbone"], params["head"]
    c3 = sum(num_parameters(v) for k, v in backbone.items() if k.startswith("c3"))
    counts = [num_parameters(backbone["c1"]), num_parameters(backbone["s2"]), c3,
              num_parameters(backbone["s4"]), num_parameters(head["c5"]),
              num_parameters(head["f6"])]  # fmt: skip
    assert counts == [156, 12, 1_516, 32, 48_120, 10_164]


def test_dropout_drops_in_training_only():
    model = create_model("mlp", num_classes=3, dropout_rate=0.5)
    images = jnp.ones((2, 4, 4, 1))
    variables = model.init(jax.random.key(0), images, train=False)

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
        ("lenet", {"pool": "mean"}, "Unknown pooling 'mean'"),
    ],
)
def test_bad_names(name, options, sentence):
    with pytest.raises(UserError, match=sentence.replace("(", "\\(")):
        shapes(name, (64, 64, 3), 10, **options)


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
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


def test_options_have_defaults():
    assert model_options("resnet50")["stem"] == "imagenet"
    assert model_options("resnet50")["stage_sizes"] == (3, 4, 6, 3)
