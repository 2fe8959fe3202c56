"""RepVGG: the merged network gives the logits of the trained one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.models.classification.repvgg import merge_branches
from cnnlab.train import num_parameters


def drawn(model, shape):
    """Random variables, statistics too: fresh ones would hide an exchange of tensors."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False)
    )
    return jax.tree.map_with_path(
        lambda path, leaf: (
            rng.uniform(0.5, 1.5, leaf.shape)
            if path[-1].key in ("scale", "var")
            else 0.3 * rng.normal(size=leaf.shape)
        ).astype(np.float32),
        shapes,
    )


@pytest.mark.parametrize("name", ["repvgg_a0", "repvgg_b1g4"])
def test_merged_branches_give_the_same_logits(name):
    options = {"num_classes": 3, "stem": "cifar", "stage_sizes": (2, 3), "widths": (8, 8, 16)}
    model = create_model(name, **options)
    plain = create_model(name, plain=True, **options)
    variables = drawn(model, (20, 24, 3))
    images = jnp.asarray(np.random.default_rng(1).normal(size=(2, 20, 24, 3)), jnp.float32)
    merged = merge_branches(variables)
    shapes = jax.eval_shape(lambda: plain.init(jax.random.key(0), images, train=False))
    assert jax.tree.map(jnp.shape, merged) == jax.tree.map(jnp.shape, shapes)
    before = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    after = jax.jit(lambda v, x: plain.apply(v, x, train=False))(merged, images)
    assert np.abs(before[0] - before[1]).max() > 1e-2 * np.abs(before).max()
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())


def test_only_a_network_with_branches_and_batch_norm_is_merged():
    options = {"num_classes": 3, "stem": "cifar", "stage_sizes": (1,), "widths": (8, 8)}
    for other in ({"plain": True}, {"norm": "layer"}):
        variables = drawn(create_model("repvgg_a0", **options, **other), (16, 16, 3))
        with pytest.raises(UserError, match="norm=batch and plain=False"):
            merge_branches(variables)


def test_the_plain_network_has_the_papers_parameters():
    """Table 4: 8.30 million after the branches of A0 are merged; 9.11 with them (timm)."""
    model = create_model("repvgg_a0", num_classes=1000, plain=True)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    assert round(num_parameters(shapes["params"]) / 1e6, 2) == pytest.approx(8.31, abs=0.01)
