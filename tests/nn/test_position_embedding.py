"""Position embeddings of one grid on maps of other sizes."""

import jax.numpy as jnp
import numpy as np

from cnnlab.nn.attention.position_embedding import PositionEmbedding


def test_added_on_its_own_grid_and_interpolated_elsewhere():
    layer = PositionEmbedding((2, 2))
    embedding = jnp.array([[0.0, 4.0], [8.0, 12.0]])[None, :, :, None]
    variables = {"params": {"embedding": embedding}}
    own = layer.apply(variables, jnp.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(own, 1.0 + embedding)
    wide = layer.apply(variables, jnp.zeros((1, 2, 4, 1)))
    np.testing.assert_allclose(wide[0, :, :, 0], [[0, 1, 3, 4], [8, 9, 11, 12]], rtol=1e-6)


def test_starts_at_zero(rng):
    variables = PositionEmbedding((3, 2)).init(rng, jnp.ones((1, 5, 5, 7)))
    assert variables["params"]["embedding"].shape == (1, 3, 2, 7)
    assert not variables["params"]["embedding"].any()
