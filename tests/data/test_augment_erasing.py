"""Random erasing and TrivialAugment: sizes, shares, and the ranges of the published spaces."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.augment import AugmentConfig, make_augment, random_erasing
from cnnlab.data.augment.rand_augment import OPERATIONS, apply_operations
from cnnlab.data.augment.trivial_augment import NUM_BINS, WIDE_RANGES, trivial_augment
from cnnlab.errors import UserError
from tests.pretrained.peer_networks import libraries


def erased(count=400, shape=(20, 30, 2), **options):
    images = jnp.ones((count, *shape))
    erase = jax.jit(functools.partial(random_erasing, **options))
    result = np.asarray(erase(jax.random.key(3), images))
    return result, (result != 1).all(-1)


def test_erasing_removes_one_rectangle_within_its_ranges():
    result, holes = erased(probability=1.0, scale=(0.1, 0.3), ratio=(0.5, 2.0))
    assert set(np.unique(result)) == {0.0, 1.0}
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert hole.sum() == height * width  # one whole rectangle
        # Both sides are rounded to pixels.
        assert (height - 0.5) * (width - 0.5) <= 0.3 * 600
        assert (height + 0.5) * (width + 0.5) >= 0.1 * 600
        assert (height + 0.5) / (width - 0.5) >= 0.5
        assert (height - 0.5) / (width + 0.5) <= 2.0
    corners = {(np.flatnonzero(h.any(1))[0], np.flatnonzero(h.any(0))[0]) for h in holes}
    assert len(corners) > 100


def test_erasing_reaches_every_edge():
    _, holes = erased(2000, (6, 6, 1), probability=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    places = {(np.flatnonzero(h.any(1))[0], np.flatnonzero(h.any(0))[0]) for h in holes}
    assert places == {(row, column) for row in range(4) for column in range(4)}  # 3x3 in 6x6


def test_erasing_chooses_a_share_of_the_images():
    _, holes = erased(2000, probability=0.25)
    assert abs(holes.any((1, 2)).mean() - 0.25) < 4 * (0.25 * 0.75 / 2000) ** 0.5
    _, holes = erased(50, probability=0.0)
    assert not holes.any()


def test_a_rectangle_that_never_fits_leaves_the_image():
    _, holes = erased(20, (20, 30, 1), probability=1.0, scale=(0.9, 1.0), ratio=(3.0, 3.3))
    assert not holes.any()  # about 40 rows of 20


def test_noise_fills_with_standard_normal_values():
    result, holes = erased(probability=1.0, fill="noise")
    values = result[holes]
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02


def test_erasing_is_the_last_step_before_mixing():
    config = AugmentConfig(random_erasing=1.0, erasing_scale=(0.2, 0.4))
    augment = make_augment(config, num_classes=5, mean=[0.5], std=[0.25])
    batch = {"image": np.full((8, 12, 12, 1), 255, np.uint8), "label": np.zeros(8, np.int32)}
    images = np.asarray(augment(jax.random.key(0), batch)["image"])
    assert set(np.unique(images)) == {0.0, 2.0}  # zero is the mean of normalised images


_apply_operations = jax.jit(apply_operations, static_argnums=4)


def one(name, image, strength, sign=1.0):
    """What an operation of the wide space makes of one image."""
    choice = jnp.array([OPERATIONS.index(name)])
    signs = jnp.array([sign])
    strengths = jnp.array([strength])
    return np.asarray(_apply_operations(image[None], choice, signs, strengths, WIDE_RANGES)[0])


def test_the_wide_space_is_that_of_torchvision():
    """Largest values in `TrivialAugmentWide._augmentation_space(31)`, seen on single pixels."""
    dot = jnp.zeros((101, 101, 3)).at[50, 50].set(1.0)
    right = one("translate_x", dot, 1.0)
    assert right[50, 50 - 32].max() == pytest.approx(1.0)  # content moves against the sample
    down = one("translate_y", dot, 0.5, sign=-1.0)
    assert down[50 + 16, 50].max() == pytest.approx(1.0)
    arm = jnp.zeros((101, 101, 3)).at[50, 80].set(1.0)
    turned = one("rotate", arm, 1.0)[..., 0]
    row, column = np.unravel_index(turned.argmax(), turned.shape)
    assert np.degrees(np.arctan2(50 - row, column - 50)) == pytest.approx(135, abs=2)
    sheared = one("shear_x", jnp.zeros((101, 101, 3)).at[70, 50].set(1.0), 1.0)[..., 0]
    row, column = np.unravel_index(sheared.argmax(), sheared.shape)
    assert (row, abs(column - 50)) == (70, round(20 * 0.99))
    gray = jnp.full((8, 8, 3), 0.4)
    np.testing.assert_allclose(one("brightness", gray, 1.0), 0.4 * 1.99, rtol=1e-5)
    np.testing.assert_allclose(one("brightness", gray, 1.0, -1.0), 0.4 * 0.01, rtol=1e-4)
    levels = jnp.asarray(np.arange(256).reshape(16, 16, 1).repeat(3, 2) / 255.0, jnp.float32)
    assert set((one("posterize", levels, 1.0) * 255).round().ravel()) == {0, 64, 128, 192}
    assert one("solarize", levels, 0.5)[15, 15, 0] == pytest.approx(0.0)
    assert one("solarize", levels, 0.5)[0, 1, 0] == pytest.approx(1 / 255)


def test_trivial_augment_draws_operation_sign_and_strength_for_each_image():
    draw = np.random.default_rng(0)
    image = jnp.asarray(draw.integers(60, 180, (1, 24, 24, 3)) / 255.0, jnp.float32)
    results = jax.jit(trivial_augment)(jax.random.key(0), jnp.tile(image, (256, 1, 1, 1)))
    kinds = {np.asarray(r).round(4).tobytes() for r in results}
    # Nine operations have a sign and 30 strengths that change something.
    assert 100 < len(kinds) < 9 * 2 * (NUM_BINS - 1)
    same = np.mean([np.allclose(r, image[0], atol=1e-5) for r in results])
    assert 0.07 < same < 0.25  # identity is one of 14, and strengths near none


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"random_erasing": 1.5}, "augment.random_erasing=1.5 must be from 0 to 1"),
        ({"erasing_scale": (0.5, 0.2)}, "augment.erasing_scale=.* two rising numbers"),
        ({"erasing_fill": "blue"}, "'mean' or 'noise'"),
        ({"trivial_augment": True, "randaugment_num_layers": 2}, "set one of them"),
    ],
)
def test_wrong_values_are_named(changes, words):
    with pytest.raises(UserError, match=words):
        make_augment(AugmentConfig(**changes), num_classes=5, mean=[0.5], std=[0.25])


@pytest.mark.peer
def test_the_wide_space_agrees_with_torchvision():
    _declared = libraries()  # the operators that torchvision wants, while this lives
    transforms = pytest.importorskip("torchvision.transforms")
    space = transforms.TrivialAugmentWide()._augmentation_space(NUM_BINS)
    last = {name: float(values[-1]) if values.ndim else 0.0 for name, (values, _) in space.items()}
    assert last["ShearX"] == pytest.approx(WIDE_RANGES.shear)
    assert last["TranslateX"] == WIDE_RANGES.translate_pixels
    assert last["Rotate"] == WIDE_RANGES.rotate_degrees
    assert last["Brightness"] == last["Sharpness"] == pytest.approx(WIDE_RANGES.factor)
    assert last["Posterize"] == 8 - WIDE_RANGES.posterize_bits
    strengths = np.arange(NUM_BINS) / (NUM_BINS - 1)
    bits = 8 - np.round(WIDE_RANGES.posterize_bits * strengths)
    np.testing.assert_array_equal(bits, space["Posterize"][0])
    assert len(space) == len(OPERATIONS)
