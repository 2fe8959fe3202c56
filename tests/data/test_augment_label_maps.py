"""Images and label maps move together: the image is its own label, before and after."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data import IGNORE
from cnnlab.data.augment import AugmentConfig, geometric, make_augment
from cnnlab.errors import UserError

MOTIONS = {
    "pad_crop": 4,
    "flip": True,
    "flip_vertical": True,
    "random_resized_crop": True,
    "rotate_degrees": 30.0,
    "translate": 0.2,
    "scale": 0.3,
    "shear_degrees": 15.0,
    "elastic_alpha": 3.0,
}
TOGETHER = {**MOTIONS, "random_resized_crop": False}


def batch():
    """Large blocks of four classes, whose gray values are the classes'."""
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 4, (6, 4, 4)), np.ones((8, 8))).astype(np.uint8)
    return {"image": (labels * 60)[..., None], "label": labels, "mask": np.ones(6, np.float32)}


def augmented(**fields):
    augment = make_augment(AugmentConfig(**fields), num_classes=4, mean=(0.0,), std=(1.0,))
    return jax.jit(augment)(jax.random.key(1), batch())


@pytest.mark.parametrize(
    "fields", [*({name: value} for name, value in MOTIONS.items()), TOGETHER], ids=[*MOTIONS, "all"]
)
def test_images_and_labels_stay_together(fields):
    result = augmented(**fields)
    label, image = np.asarray(result["label"]), np.asarray(result["image"])[..., 0] * 255 / 60
    assert label.dtype == np.int32
    assert set(np.unique(label)) <= {0, 1, 2, 3, IGNORE}
    assert (label != batch()["label"]).mean() > 0.05, "nothing moved"
    # Between two blocks the image is interpolated, and the label is one of the two.
    error = np.abs(image - label)[label != IGNORE]
    assert (error < 0.02).mean() > 0.6
    assert error.mean() < 0.25


def test_what_a_crop_adds_is_ignored_or_reflected():
    assert (np.asarray(augmented(pad_crop=4)["label"]) == IGNORE).any()
    reflected = np.asarray(augmented(pad_crop=4, pad_mode="reflect")["label"])
    assert (reflected != IGNORE).all()


def test_colors_and_cutout_leave_labels():
    result = augmented(brightness=0.5, contrast=0.5, cutout=8)
    assert (np.asarray(result["label"]) == batch()["label"]).all()
    assert not np.allclose(result["image"][..., 0] * 255, batch()["label"] * 60.0, atol=2)


@pytest.mark.parametrize(
    "fields",
    [
        {"mixup_alpha": 0.2},
        {"cutmix_alpha": 1.0},
        {"randaugment_num_layers": 2},
        {"trivial_augment": True},
        {"random_erasing": 0.5},
    ],
)
def test_what_parts_them_is_one_sentence(fields):
    with pytest.raises(UserError, match=next(iter(fields))):
        augmented(**fields)


def test_the_elastic_field_has_the_spread_that_was_asked_for():
    """A ramp, moved, shows the motion along it."""
    ramp = jnp.broadcast_to(jnp.arange(96.0)[:, None, None], (8, 96, 96, 1))
    elastic = jax.jit(geometric.elastic, static_argnums=(2, 3))
    moved = elastic(jax.random.key(0), ramp, 2.0, 6.0) - ramp
    inside = np.asarray(moved)[:, 16:-16, 16:-16, 0]
    assert inside.std() == pytest.approx(2.0, rel=0.15)
    # Smooth: neighbours move nearly alike.
    assert np.abs(np.diff(inside, axis=1)).mean() < 0.5


@pytest.mark.parametrize(
    "fields",
    [
        {"flip": True},
        {"flip_vertical": True},
        {"pad_crop": 5},
        {"pad_crop": 5, "pad_mode": "reflect"},
        {"pad_crop": 5, "flip": True, "flip_vertical": True},
    ],
)
def test_whole_pixels_stay_together_exactly(fields):
    result = augmented(**fields)
    label, image = np.asarray(result["label"]), np.asarray(result["image"])[..., 0] * 255 / 60
    np.testing.assert_allclose(image[label != IGNORE], label[label != IGNORE], atol=1e-4)
    np.testing.assert_array_equal(image[label == IGNORE], 0.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"rotate_degrees": 40.0},
        {"translate": 0.15},
        {"scale": 0.4},
        {"shear_degrees": 25.0},
        {"random_resized_crop": True, "crop_scale": (0.4, 0.9)},
        {"elastic_alpha": 3.0, "elastic_sigma": 6.0},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_interpolated_images_are_not_shifted_against_their_labels(fields):
    """A disk's center of mass: half a pixel between the two would show, over many images.

    In a single one, the nearest pixel may lie half a pixel off, and off alike all over the image.
    """
    y, x = np.mgrid[:64, :64]
    label = np.stack([(y - 30) ** 2 + (x - 36) ** 2 < r**2 for r in (8, 10, 12, 14) * 12])
    batch = {"image": (label * 255).astype(np.uint8)[..., None], "label": label.astype(np.uint8)}
    augment = make_augment(AugmentConfig(**fields), num_classes=2, mean=(0.0,), std=(1.0,))
    result = jax.jit(augment)(jax.random.key(2), batch)
    moved, image = np.asarray(result["label"]) > 0, np.asarray(result["image"])[..., 0]
    assert (moved != label).mean() > 0.005, "nothing moved"
    for axis in (y, x):
        found, expected = ((m * axis).sum((1, 2)) / m.sum((1, 2)) for m in (moved, image))
        assert np.abs(found - expected).max() < 0.75
        assert abs((found - expected).mean()) < 0.15
    # Beyond the edge of a disk the two agree.
    assert ((image > 0.5) != moved).mean() < 0.015


def test_every_image_of_a_batch_has_a_draw_of_its_own():
    for fields in ({"elastic_alpha": 3.0}, {"rotate_degrees": 30.0}, {"pad_crop": 6}):
        one = batch()["label"][:1]
        same = {"image": np.repeat(one, 6, 0)[..., None], "label": np.repeat(one, 6, 0)}
        augment = make_augment(AugmentConfig(**fields), num_classes=4, mean=(0.0,), std=(1.0,))
        labels = np.asarray(jax.jit(augment)(jax.random.key(0), same)["label"])
        assert len(np.unique(labels.reshape(6, -1), axis=0)) > 3
