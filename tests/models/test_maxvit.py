"""The grid attention of MaxViT, and its options."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.models.classification.transformer.maxvit import _from_grid, _to_grid
from cnnlab.nn.attention.window_attention import split_windows


def test_a_grid_spans_the_map():
    """Its positions are height / size and width / size apart (fig. 3 of the paper)."""
    x = jnp.arange(6 * 9).reshape(1, 6, 9, 1)
    grids = split_windows(_to_grid(x, 3), 3)[0, :, :, 0]
    assert grids.shape == (6, 9)
    np.testing.assert_array_equal(grids[0].reshape(3, 3), x[0, ::2, ::3, 0])
    np.testing.assert_array_equal(grids[-1].reshape(3, 3), x[0, 1::2, 2::3, 0])
    np.testing.assert_array_equal(_from_grid(_to_grid(x, 3), 3), x)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"widths": (8, 16)}, "give one width for each stage"),
        ({"head_width": 24}, "must divide the channels of each stage"),
    ],
)
def test_a_mistake_is_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        create_model("maxvit_t", num_classes=2, **options)
