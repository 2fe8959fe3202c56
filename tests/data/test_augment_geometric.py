"""Maps of pixel positions against numpy and PIL, on images that tell every direction apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnnlab.data import augment
from cnnlab.data.augment import geometric

# As programs: compiling each of their operations alone takes longer.
affine = jax.jit(geometric.affine)
affine_matrices = jax.jit(geometric.affine_matrices)
flip = jax.jit(augment.flip, static_argnames="vertical")
pad_crop = jax.jit(augment.pad_crop, static_argnames=("pad", "mode"))
random_affine = jax.jit(augment.random_affine)
random_resized_crop = jax.jit(augment.random_resized_crop, static_argnames=("scale", "ratio"))

ZERO = jnp.zeros(1)
ONE = jnp.ones(1)


@pytest.fixture
def images():
    """Two different images of an odd, oblong shape."""
    return jnp.asarray(np.random.default_rng(0).random((2, 9, 7, 3), np.float32))


@pytest.fixture
def square():
    return jnp.asarray(np.random.default_rng(1).random((1, 9, 9, 3), np.float32))


def blob(height=33, width=33):
    """A smooth spot off the center, so that bilinear sampling of PIL and ours agree closely."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.exp(-(((y - 11) / 4) ** 2) - ((x - 18) / 6) ** 2)


def test_affine_of_the_identity_is_exact(images):
    matrices = affine_matrices(*(jnp.zeros(2), jnp.ones(2), jnp.zeros(2), jnp.zeros(2)))
    np.testing.assert_allclose(affine(images, matrices, jnp.zeros((2, 2))), images, atol=1e-6)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_is_counter_clockwise(square, turns):
    matrices = affine_matrices(jnp.full(1, turns * jnp.pi / 2), ONE, ZERO, ZERO)
    rotated = affine(square, matrices, jnp.zeros((1, 2)))
    np.testing.assert_allclose(rotated[0], np.rot90(square[0], turns), atol=1e-5)


def test_rotation_by_a_small_angle_agrees_with_pil():
    picture = blob()
    matrices = affine_matrices(jnp.full(1, jnp.deg2rad(20.0)), ONE, ZERO, ZERO)
    ours = affine(jnp.asarray(picture)[None, ..., None], matrices, jnp.zeros((1, 2)))[0, ..., 0]
    theirs = Image.fromarray(picture).rotate(20.0, Image.Resampling.BILINEAR)
    # PIL turns around the middle of the picture with the same convention of pixel centers.
    np.testing.assert_allclose(ours, theirs, atol=5e-3)


def test_factors_above_one_magnify():
    picture = jnp.asarray(blob())[None, ..., None]
    magnified = affine(picture, affine_matrices(ZERO, 2 * ONE, ZERO, ZERO), jnp.zeros((1, 2)))
    # Content at distance d from the center moves to 2 d.
    np.testing.assert_allclose(magnified[0, 16 - 2 * 4, 16 + 2 * 2], picture[0, 12, 18], atol=1e-6)
    assert magnified.sum() > 2 * picture.sum()


def test_shear_moves_rows_and_columns_as_named():
    picture = np.zeros((9, 9), np.float32)
    picture[4, 7] = 1.0  # three pixels right of the center
    batch = jnp.asarray(picture)[None, ..., None]
    down = affine(batch, affine_matrices(ZERO, ONE, ONE / 3, ZERO), jnp.zeros((1, 2)))
    assert np.unravel_index(jnp.argmax(down), (9, 9)) == (5, 7)
    picture = np.zeros((9, 9), np.float32)
    picture[7, 4] = 1.0
    batch = jnp.asarray(picture)[None, ..., None]
    right = affine(batch, affine_matrices(ZERO, ONE, ZERO, ONE / 3), jnp.zeros((1, 2)))
    assert np.unravel_index(jnp.argmax(right), (9, 9)) == (7, 5)


def test_shifts_move_the_sampled_position_and_repeat_the_edge(images):
    identity = affine_matrices(jnp.zeros(2), jnp.ones(2), jnp.zeros(2), jnp.zeros(2))
    shifted = affine(images, identity, jnp.array([[2.0, 0.0], [0.0, -1.0]]))
    np.testing.assert_allclose(shifted[0, :-2], images[0, 2:], atol=1e-6)
    np.testing.assert_allclose(shifted[0, -1], images[0, -1], atol=1e-6)
    np.testing.assert_allclose(shifted[1, :, 1:], images[1, :, :-1], atol=1e-6)
    np.testing.assert_allclose(shifted[1, :, 0], images[1, :, 0], atol=1e-6)


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_pad_crop_gives_a_window_of_the_padded_image(rng, mode):
    images = jnp.asarray(np.random.default_rng(0).random((16, 6, 5, 1), np.float32))
    cropped = np.asarray(pad_crop(rng, images, 2, mode))
    corners = set()
    for image, crop in zip(np.asarray(images), cropped, strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), "constant" if mode == "zero" else mode)
        found = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if np.array_equal(padded[row : row + 6, column : column + 5], crop)
        ]
        assert len(found) == 1
        corners.add(found[0])
    assert len(corners) > 5  # each image has a draw of its own


def test_flip_mirrors_about_half_of_the_images(rng):
    images = jnp.asarray(np.random.default_rng(0).random((200, 3, 4, 1), np.float32))
    for vertical, mirrored in ((False, images[:, :, ::-1]), (True, images[:, ::-1])):
        flipped = flip(rng, images, vertical=vertical)
        moved = np.array([np.array_equal(a, b) for a, b in zip(flipped, mirrored, strict=True)])
        kept = np.array([np.array_equal(a, b) for a, b in zip(flipped, images, strict=True)])
        assert np.all(moved ^ kept)
        assert 70 < moved.sum() < 130


def test_resized_crop_of_everything_is_the_identity(rng, images):
    whole = random_resized_crop(rng, images, scale=(1.0, 1.0), ratio=(7 / 9, 7 / 9))
    np.testing.assert_allclose(whole, images, atol=1e-5)


def test_resized_crop_keeps_the_range_and_magnifies(rng):
    """A ramp keeps its direction; a crop of a quarter of the area has half of its slope."""
    ramp = jnp.broadcast_to(jnp.linspace(0.0, 1.0, 32)[None, None, :, None], (64, 32, 32, 1))
    crops = np.asarray(random_resized_crop(rng, ramp, scale=(0.25, 0.25), ratio=(1.0, 1.0)))
    assert crops.min() >= -1e-6
    assert crops.max() <= 1 + 1e-6
    slopes = crops[:, 16, 20, 0] - crops[:, 16, 12, 0]
    np.testing.assert_allclose(slopes, 8 / 31 / 2, rtol=0.02)
    starts = crops[:, 16, 16, 0]
    assert starts.std() > 0.1  # places differ from image to image
    assert abs(starts.mean() - 0.5) < 0.06


def test_random_affine_draws_for_each_image_within_its_strength(rng):
    picture = np.zeros((41, 41), np.float32)
    picture[20, 32] = 1.0  # on the right of the center: at angle 0
    batch = jnp.broadcast_to(jnp.asarray(picture)[None, ..., None], (64, 41, 41, 1))
    rotated = np.asarray(random_affine(rng, batch, rotate_degrees=30.0))[..., 0]
    y, x = np.mgrid[:41, :41] - 20
    mass = rotated.sum((1, 2))
    down, right = (rotated * y).sum((1, 2)) / mass, (rotated * x).sum((1, 2)) / mass
    angles = np.rad2deg(np.arctan2(-down, right))
    assert np.abs(angles).max() < 33
    assert angles.min() < -15
    assert angles.max() > 15
    assert len(np.unique(angles.round(3))) > 50


def test_strengths_may_be_traced_so_that_a_schedule_compiles_once(rng, images):
    traces = []

    @jax.jit
    def traced(strength):
        traces.append(strength)
        return augment.random_affine(rng, images, rotate_degrees=strength, translate=strength / 90)

    first, second = traced(0.0), traced(45.0)
    assert len(traces) == 1
    np.testing.assert_allclose(first, images, atol=1e-5)
    assert not np.allclose(second, images, atol=1e-2)
