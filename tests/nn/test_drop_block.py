"""DropBlock: shapes of what is dropped, how much, the scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.drop_block import DropBlock


def drop(x, key=0, **options):
    apply = jax.jit(lambda key: DropBlock(**options).apply({}, x, rngs={"dropout": key}))
    return np.asarray(apply(jax.random.key(key)))


def test_drops_whole_blocks_and_scales_the_rest():
    y = drop(jnp.ones((4, 20, 24, 3)), rate=0.1, block_size=5)
    dropped = y == 0
    assert dropped.any()
    # Every dropped position lies in a block of 5x5 dropped ones that is inside the map.
    covered = np.zeros_like(dropped)
    for row in range(16):
        for column in range(20):
            block = (slice(None), slice(row, row + 5), slice(column, column + 5))
            whole = dropped[block].all(axis=(1, 2))
            covered[block] |= whole[:, None, None]
    np.testing.assert_array_equal(covered, dropped)
    # The mean of each example is kept, and each channel has blocks of its own.
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), 1.0, rtol=1e-5)
    assert (dropped[..., 0] != dropped[..., 1]).any()


def test_share_that_is_dropped():
    """Near the rate: overlaps make it less, and the edges have fewer blocks than the middle."""
    y = drop(jnp.ones((16, 64, 64, 8)), rate=0.1, block_size=7)
    assert (y == 0).mean() == pytest.approx(1 - np.exp(-0.1), abs=0.01)


def test_blocks_of_one_position_are_dropout():
    y = drop(jnp.ones((4, 32, 32, 8)), rate=0.3, block_size=1)
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.02)


def test_a_map_smaller_than_a_block():
    """One block is the whole map of a channel; an example of which nothing is left is zero."""
    y = drop(jnp.ones((8, 3, 5, 2)), rate=0.5, block_size=7)
    assert np.isfinite(y).all()
    assert drop(jnp.ones((1, 2, 2, 1)), rate=1.0).tolist() == np.zeros((1, 2, 2, 1)).tolist()


def test_evaluation_and_types():
    x = jnp.ones((1, 8, 8, 2), jnp.bfloat16)
    assert DropBlock(0.1, deterministic=True).apply({}, x) is x
    assert DropBlock(0.0).apply({}, x) is x
    assert drop(x, rate=0.1, block_size=3).dtype == jnp.bfloat16
    assert not np.array_equal(drop(x, rate=0.5, key=0), drop(x, rate=0.5, key=1))
