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
    "fields", [{"mixup_alpha": 0.2}, {"cutmix_alpha": 1.0}, {"randaugment_num_layers": 2}]
)
def test_what_parts_them_is_one_sentence(fields):
    with pytest.raises(UserError, match=next(iter(fields))):
        augmented(**fields)


def test_the_elastic_field_has_the_spread_that_was_asked_for():
    """A ramp, moved, shows the motion along it."""
    ramp = jnp.broadcast_to(jnp.arange(96.0)[:, None, None], (8, 96, 96, 1))
    moved = geometric.elastic(jax.random.key(0), ramp, 2.0, 6.0) - ramp
    inside = np.asarray(moved)[:, 16:-16, 16:-16, 0]
    assert inside.std() == pytest.approx(2.0, rel=0.15)
    # Smooth: neighbours move nearly alike.
    assert np.abs(np.diff(inside, axis=1)).mean() < 0.5
