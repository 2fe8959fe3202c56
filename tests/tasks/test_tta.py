"""Test-time augmentation: every form is brought back exactly, and the mean is of all of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.inference.tiling import predict_tiled
from cnnlab.inference.tta import with_tta

IMAGES = np.random.default_rng(0).normal(size=(2, 6, 9, 3)).astype(np.float32)
CHOICES = [
    (flips, rotate)
    for flips in ((), ("horizontal",), ("vertical",), ("horizontal", "vertical"))
    for rotate in (False, True)
]


@pytest.mark.parametrize(("flips", "rotate"), CHOICES)
def test_identity_for_what_commutes_with_every_form(flips, rotate):
    """A function of each pixel alone commutes with flips and rotations."""
    predict = with_tta(lambda images: 2 * images, flips=flips, rotate=rotate)
    np.testing.assert_allclose(predict(IMAGES), 2 * IMAGES, rtol=1e-6)


@pytest.mark.parametrize(("flips", "rotate"), CHOICES)
def test_every_form_is_seen_once(flips, rotate):
    """The corner of the image wanders through the corners that the forms allow."""
    square, seen = IMAGES[:1, :6, :6], []

    def predict(images):
        seen.append(np.asarray(images))
        return images

    with_tta(predict, flips=flips, rotate=rotate)(square)
    assert len(seen) == {0: 1, 1: 2, 2: 4}[len(flips)] if not rotate else (8 if flips else 4)
    assert all(not np.array_equal(one, other) for one, other in itertools.combinations(seen, 2))
    assert np.array_equal(seen[0], square)
    for form, axis in (("horizontal", 2), ("vertical", 1)):
        flipped = any(np.array_equal(one, np.flip(square, axis)) for one in seen)
        assert flipped == (form in flips or (rotate and bool(flips)))


def test_mean_by_hand():
    """Of a function that adds the column's number: its mean with the mirrored one is flat."""
    predict = with_tta(lambda images: images + jnp.arange(9.0)[None, None, :, None])
    np.testing.assert_allclose(predict(IMAGES), IMAGES + 4.0, rtol=1e-5)


def test_scales():
    """Each scale is predicted at its size; a plane comes back as it was, but at the borders."""
    sizes = []

    def predict(images):
        sizes.append(images.shape[1:3])
        return images

    plane = np.broadcast_to(np.arange(24.0, dtype=np.float32)[None, None, :, None], (1, 16, 24, 1))
    result = with_tta(predict, flips=(), scales=(0.75, 1.0, 1.25))(plane)
    assert sizes == [(12, 18), (16, 24), (20, 30)]
    np.testing.assert_allclose(result[:, :, 3:-3], plane[:, :, 3:-3], atol=0.02)


def test_scaled_images_keep_their_type():
    types = []

    def predict(images):
        types.append(images.dtype)
        return images.astype(jnp.float32)

    white = np.full((1, 8, 8, 3), 255, np.uint8)
    result = with_tta(predict, scales=(0.5, 1.5))(white)
    assert set(types) == {jnp.dtype(jnp.uint8)}
    np.testing.assert_allclose(result, 255.0, rtol=1e-6)


def test_can_be_compiled_and_tiled():
    predict = jax.jit(with_tta(lambda images: images, rotate=True, scales=(1.0, 2.0)))
    image = np.full((20, 30, 1), 3.0, np.float32)
    bands = list(predict_tiled(predict, image, tile=16, overlap=8, multiple=4))
    np.testing.assert_allclose(np.concatenate(bands), image, rtol=1e-6)


def test_mistakes():
    with pytest.raises(UserError, match=r"Unknown flip 'horisontal'. Did you mean 'horizontal'"):
        with_tta(lambda images: images, flips=("horisontal",))
    for scales in ((), (1.0, 0.0)):
        with pytest.raises(UserError, match="one or more numbers above 0"):
            with_tta(lambda images: images, scales=scales)
