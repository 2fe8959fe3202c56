"""Rematerialisation gives the same gradients and keeps less for them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab import create_model
from cnnlab.tasks import Classification
from cnnlab.train import create_state, make_train_step
from cnnlab.train.remat import blocks, rematerialised


def kept_bytes(apply, variables, images):
    """What is kept between the forward and the backward pass, beside the parameters."""

    def backward(variables, images):
        def forward(params):
            return apply(
                {**variables, "params": params},
                images,
                train=True,
                rngs={"dropout": jax.random.key(0)},
                mutable=["batch_stats"],
            )[0]

        return jax.vjp(forward, variables["params"])[1]

    kept = jax.eval_shape(backward, variables, images)
    total = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))
    return total - 4 * sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def shapes(model, size):
    images = jax.ShapeDtypeStruct((8, size, size, 3), jnp.float32)
    init = lambda images: model.init(jax.random.key(0), images, train=False)  # noqa: E731
    return jax.eval_shape(init, images), images


@pytest.mark.parametrize(
    ("name", "options", "at_most"),
    [
        pytest.param("resnet50", {"stem": "cifar"}, 0.35, marks=pytest.mark.slow),
        ("resnet18", {"stem": "cifar"}, 0.5),
        pytest.param("densenet121", {"stem": "cifar"}, 0.35, marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", {}, 0.5, marks=pytest.mark.slow),
        ("unet", {}, 0.7),
    ],
)
def test_less_is_kept(name, options, at_most):
    model = create_model(name, num_classes=5, **options)
    variables, images = shapes(model, 64)
    plain = kept_bytes(model.apply, variables, images)
    less = kept_bytes(rematerialised(model.apply), variables, images)
    print(name, plain, less, less / plain)
    assert less < at_most * plain


def test_blocks_are_the_parts_between_network_and_layer():
    model = create_model("resnet18", num_classes=5, stem="cifar")
    found = blocks(shapes(model, 32)[0]["params"])
    assert found == {
        ("backbone", f"stage{stage}_block{block}") for stage in range(1, 5) for block in (1, 2)
    }


def test_the_same_is_learned():
    """Batch statistics, dropout and all."""
    model = create_model(
        "resnet18", num_classes=5, stem="cifar", width=8, stage_sizes=(1, 1), dropout_rate=0.2
    )
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.normal(size=(8, 16, 16, 3)).astype(np.float32),
        "label": rng.integers(0, 5, 8),
        "mask": np.ones(8, np.float32),
    }
    tx = optax.sgd(0.1)
    state = create_state(model, tx, image_shape=(16, 16, 3), seed=0)
    plain, again = (
        jax.jit(make_train_step(model, Classification(5), tx, apply=apply))(state, batch)
        for apply in (model.apply, rematerialised(model.apply))
    )
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
