"""UNeXt: the shift of its MLP by hand, additive skips."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.models.segmentation.unet_family.unext import shift_groups


def test_channels_move_by_minus_two_to_two_and_zeros_come_in():
    column = jnp.arange(1.0, 5.0)
    x = jnp.broadcast_to(column[None, :, None, None], (1, 4, 3, 5))
    moved = np.asarray(shift_groups(x, 1))
    expected = [[3, 4, 0, 0], [2, 3, 4, 0], [1, 2, 3, 4], [0, 1, 2, 3], [0, 0, 1, 2]]
    for channel, values in enumerate(expected):
        np.testing.assert_array_equal(moved[0, :, 1, channel], values)
    rows = np.asarray(shift_groups(x.transpose(0, 2, 1, 3), 2))
    np.testing.assert_array_equal(rows, moved.transpose(0, 2, 1, 3))


def test_the_last_group_of_channels_may_be_smaller():
    x = jnp.broadcast_to(jnp.eye(5)[2][None, :, None, None], (1, 5, 1, 13))
    moved = np.asarray(shift_groups(x, 1))[0, :, 0]
    # Groups of 3, 3, 3, 3 and 1; the one that was at 2 is now at 0, 1, 2, 3 and 4.
    assert moved.argmax(axis=0).tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4]


def test_map_narrower_than_the_shift():
    x = jnp.ones((1, 1, 1, 5))
    np.testing.assert_array_equal(shift_groups(x, 1)[0, 0, 0], [0, 0, 1, 0, 0])


def test_widths_are_five():
    with pytest.raises(UserError, match="five"):
        create_model("unext", num_classes=1, widths=(4, 4, 4))


def test_every_level_of_the_decoder_is_as_wide_as_its_skip():
    model = create_model("unext_s", num_classes=2)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    head = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    widths = [head["params"]["head"][f"level{n}"]["conv"]["kernel"].shape[2:] for n in (4, 3, 2, 1)]
    assert widths == [(128, 64), (64, 32), (32, 16), (16, 8)]
