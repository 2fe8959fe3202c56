"""Windows, their masks, and attention that stays within a region of the map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.nn.attention.window_attention import (
    WindowAttention,
    join_windows,
    relative_bias,
    split_windows,
    window_mask,
)


def test_windows_are_squares_of_the_map_and_join_again(rng):
    x = jnp.arange(24).reshape(1, 4, 6, 1)
    windows = split_windows(x, 2)
    assert windows.shape == (1, 6, 4, 1)
    np.testing.assert_array_equal(windows[0, 1, :, 0], [2, 3, 8, 9])
    y = jax.random.normal(rng, (2, 4, 6, 3))
    np.testing.assert_array_equal(join_windows(split_windows(y, 2), (4, 6)), y)


def test_mask_without_shift_and_padding_lets_everything_through():
    assert window_mask((4, 6), 2, 0).all()


def test_mask_of_shifted_windows_by_hand():
    # Four by four, windows of two, shift one: rows and columns are now 1, 2 | 3, 0.
    mask = window_mask((4, 4), 2, 1)
    assert mask[0].all()
    # Columns 3 and 0 are not neighbours; rows 1 and 2 are.
    np.testing.assert_array_equal(mask[1][0], [True, False, True, False])
    np.testing.assert_array_equal(mask[2][0], [True, True, False, False])
    np.testing.assert_array_equal(mask[3], np.eye(4, dtype=bool))


def test_padding_is_a_region_of_its_own():
    # Three by two in windows of two: the fourth row is padding.
    mask = window_mask((3, 2), 2, 0)
    assert mask[0].all()
    np.testing.assert_array_equal(mask[1][0], [True, True, False, False])
    np.testing.assert_array_equal(mask[1][2], [False, False, True, True])


def test_padding_may_be_attended_to_and_an_axis_of_one_window_is_not_shifted():
    assert window_mask((3, 2), 2, 0, mask_padding=False).all()
    # Rows move by one, columns do not.
    mask = window_mask((4, 2), 2, 1)
    assert mask[0].all()
    np.testing.assert_array_equal(mask[1][0], [True, True, False, False])


def test_version_2_scores_are_scaled_cosines(rng):
    """The size of a vector does not matter to its scores, and padding has finite gradients."""
    layer = WindowAttention(2, 2, mask_padding=False, cosine=True)
    x = jax.random.normal(rng, (1, 3, 2, 4))
    variables = jax.jit(layer.init)(rng, x)
    kernel = variables["params"]["qkv"]["kernel"]
    louder = jax.tree.map(jnp.asarray, variables)
    louder["params"]["qkv"]["kernel"] = kernel.at[:, :8].multiply(3.0)
    apply = jax.jit(layer.apply)
    np.testing.assert_allclose(apply(louder, x), apply(variables, x), rtol=1e-5)
    grads = jax.jit(jax.grad(lambda v: layer.apply(v, x).sum()))(variables)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize("shift", [0, 1])
def test_a_position_sees_its_window_and_nothing_else(rng, shift):
    layer = WindowAttention(heads=2, window=2, shift=shift)
    x = jax.random.normal(rng, (1, 5, 4, 4))
    variables = jax.jit(layer.init)(rng, x)
    seen = np.zeros((5, 4, 5, 4), bool)
    change = jax.jit(lambda x: layer.apply(variables, x))
    before = change(x)
    for row in range(5):
        for column in range(4):
            after = change(x.at[0, row, column].add(1.0))
            seen[:, :, row, column] = np.abs(after - before)[0].max(axis=-1) > 1e-7

    def groups(extent):
        # With a shift of one, windows begin at odd positions and the first stands alone.
        return (np.arange(extent) + shift) // 2

    rows, columns = (groups(extent)[:, None] == groups(extent)[None, :] for extent in (5, 4))
    np.testing.assert_array_equal(seen, rows[:, None, :, None] & columns[None, :, None, :])


def test_one_window_is_not_shifted(rng):
    x = jax.random.normal(rng, (1, 3, 2, 4))
    variables = jax.jit(WindowAttention(2, 3).init)(rng, x)
    shifted, still = (WindowAttention(2, 3, shift) for shift in (1, 0))
    np.testing.assert_array_equal(
        jax.jit(shifted.apply)(variables, x), jax.jit(still.apply)(variables, x)
    )


def test_position_bias_depends_on_the_distance_alone():
    bias = relative_bias(jnp.arange(9.0)[:, None], 2)[0]
    np.testing.assert_array_equal(np.diag(bias), [4, 4, 4, 4])
    # Looking right, left and down, each from two positions.
    assert bias[0, 1] == bias[2, 3] == 3
    assert bias[1, 0] == bias[3, 2] == 5
    assert bias[0, 2] == bias[1, 3] == 1
