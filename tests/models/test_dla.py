"""The trees of DLA: what their roots join."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models.classification.residual.dla import AggregationTree
from cnnlab.nn.choices import Identity


class Doubled(nn.Module):
    """Twice the map and the shortcut, if there is one; it cannot stride."""

    features: int
    stride: int

    @nn.compact
    def __call__(self, x, identity=None):
        return 2 * x + (0 if identity is None else identity)


@pytest.mark.parametrize("root_shortcut", [False, True])
@pytest.mark.parametrize("join_input", [False, True])
def test_two_levels_by_hand(root_shortcut, join_input):
    """One pixel of one channel, whose roots add up all that they join."""
    tree = AggregationTree(
        2, 1, 1, Doubled, Identity, nn.relu, join_input=join_input, root_shortcut=root_shortcut
    )
    x = jnp.ones((1, 1, 1, 1))
    shapes = jax.eval_shape(lambda: tree.init(jax.random.key(0), x))["params"]
    params = jax.tree.map_with_path(
        lambda path, leaf: np.full(leaf.shape, path[-1].key == "kernel", np.float32), shapes
    )
    # Of each tree of depth 1: the first block gives 3 times its input, the second 6 times.
    first = 3 + 6 + (6 if root_shortcut else 0)
    second = first * (3 + 6 + (6 if root_shortcut else 0)) + first + join_input
    assert tree.apply({"params": params}, x).item() == second
