"""HOG features: scikit-image's, in any batch, and a sentence for images that are too small."""

import numpy as np
import pytest
from skimage.feature import hog

from cnnlab.classical import Hog
from cnnlab.data import ArraySource
from cnnlab.data.source import Subset
from cnnlab.errors import UserError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_equal_skimage(channels):
    images = RNG.integers(0, 256, (2, 20, 25, channels), np.uint8)
    features = Hog(orientations=6, cell_size=5, block_size=3)(images)
    expected = hog(images[1], 6, (5, 5), (3, 3), channel_axis=-1)
    assert features.dtype == np.float32
    assert features.shape == (2, 2 * 3 * 3 * 3 * 6)
    np.testing.assert_allclose(features[1], expected, rtol=1e-6)


def test_gradient_direction_by_hand():
    """A horizontal ramp has gradients of 0 degrees alone: one bin of each cell holds them all."""
    ramp = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None] * 8, (16, 16, 1))
    cells = Hog(orientations=4, cell_size=4, block_size=1)(ramp[None]).reshape(16, 4)
    assert (cells[:, 0] > 0.99).all()
    assert (cells[:, 1:] == 0).all()


@pytest.mark.parametrize("kind", ["array", "streamed"])
def test_over_gives_every_example_once_in_order(kind, monkeypatch):
    monkeypatch.setattr("cnnlab.classical.hog._BATCH", 3)
    images = RNG.integers(0, 256, (7, 8, 8, 1), np.uint8)
    source = ArraySource(images, np.arange(7))
    if kind == "streamed":
        source = Subset(source, np.arange(7))
    features, labels = zip(*Hog().over(source), strict=True)
    assert [len(part) for part in labels] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(labels), np.arange(7))
    np.testing.assert_array_equal(np.concatenate(features), Hog()(images))


def test_image_smaller_than_a_block():
    assert Hog().length((8, 8, 1)) == 36
    with pytest.raises(UserError, match=r"8x7 pixels are smaller than a block of 8x8.*cell_size=4"):
        Hog().length((8, 7, 1))
