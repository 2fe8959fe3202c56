"""The augmentation of a recipe: order, ranges, targets, one compilation, RandAugment's list."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.augment import AugmentConfig, make_augment, make_normalize, randaugment
from cnnlab.data.augment.rand_augment import OPERATIONS, apply_operations
from cnnlab.errors import UserError

EVERYTHING = AugmentConfig(
    pad_crop=2, flip=True, flip_vertical=True, rotate_degrees=10, translate=0.1, scale=0.1,
    shear_degrees=5, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1,
    randaugment_num_layers=2, cutout=4, mixup_alpha=0.2, cutmix_alpha=1.0,
)  # fmt: skip


def batch_of(shape, seed=0):
    draw = np.random.default_rng(seed)
    return {
        "image": draw.integers(0, 256, shape).astype(np.uint8),
        "label": draw.integers(0, 5, shape[0]).astype(np.int32),
    }


def build(config, channels=3):
    return make_augment(config, num_classes=5, mean=[0.5] * channels, std=[0.25] * channels)


def test_nothing_switched_on_is_the_normalisation_of_evaluation(rng):
    batch = batch_of((4, 9, 7, 3))
    train = build(AugmentConfig())(rng, batch)
    evaluation = make_normalize([0.5] * 3, [0.25] * 3)(batch)
    np.testing.assert_array_equal(train["image"], evaluation["image"])
    expected = (batch["image"] / 255.0 - 0.5) / 0.25
    np.testing.assert_allclose(train["image"], expected, atol=1e-5)
    assert "target" not in train


@pytest.mark.parametrize("shape", [(6, 9, 7, 3), (6, 8, 8, 1)], ids=["odd color", "gray"])
def test_everything_at_once_compiles_once_and_keeps_shape_and_range(shape):
    augment, traces = build(EVERYTHING, shape[-1]), []

    @jax.jit
    def traced(rng, batch):
        traces.append(None)
        return augment(rng, batch)

    for seed in range(3):
        result = traced(jax.random.key(seed), batch_of(shape, seed))
        assert result["image"].shape == shape
        assert result["image"].dtype == jnp.float32
        assert np.abs(result["image"]).max() <= 2.0 + 1e-4  # (0 or 1 - 0.5) / 0.25
        np.testing.assert_allclose(result["target"].sum(-1), 1.0, atol=1e-5)
        assert result["target"].shape == (6, 5)
        np.testing.assert_array_equal(result["label"], batch_of(shape, seed)["label"])
    assert len(traces) == 1


def test_the_key_decides(rng):
    augment, batch = jax.jit(build(EVERYTHING)), batch_of((6, 9, 7, 3))
    first, again = augment(rng, batch), augment(rng, batch)
    other = augment(jax.random.key(1), batch)
    np.testing.assert_array_equal(first["image"], again["image"])
    assert not np.array_equal(first["image"], other["image"])


def test_switching_one_on_leaves_the_draws_of_the_others(rng):
    batch = batch_of((8, 8, 8, 3))
    alone = jax.jit(build(AugmentConfig(flip=True)))(rng, batch)["image"]
    beside = jax.jit(build(AugmentConfig(flip=True, cutout=4)))(rng, batch)["image"]
    kept = np.asarray(beside != 0).all(-1)
    np.testing.assert_array_equal(np.asarray(alone)[kept], np.asarray(beside)[kept])


def test_mixup_and_cutmix_take_turns():
    augment = jax.jit(build(AugmentConfig(mixup_alpha=1.0, cutmix_alpha=1.0)))
    batch = batch_of((8, 8, 8, 3))
    plain = build(AugmentConfig())(jax.random.key(0), batch)["image"]
    pasted = 0
    for seed in range(40):
        mixed = np.asarray(augment(jax.random.key(seed), batch)["image"])
        # Cutmix takes every pixel from some image of the batch as it is; mixup blends them.
        same = np.isclose(mixed[:, None], np.asarray(plain)[None], atol=1e-4).all(-1).any(1)
        pasted += same.all()
    assert 8 < pasted < 32


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hue": 0.6}, "augment.hue=0.6 must be from 0 to 0.5"),
        ({"randaugment_magnitude": 31}, "augment.randaugment_magnitude=31"),
        ({"crop_scale": (0.5, 0.2)}, "two rising numbers"),
        ({"pad_mode": "wrap"}, "'zero' or 'reflect'"),
        ({"pad_crop": 4, "random_resized_crop": True}, "exclude each other"),
    ],
)
def test_a_strength_outside_of_its_range_is_named(changes, words):
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        build(AugmentConfig(**changes))


@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_of_randaugment_is_neutral_or_changes_the_image_as_it_should(channels):
    draw = np.random.default_rng(0)
    # Levels in the middle of the range, so that no operation saturates; 1/255 steps, for posterize;
    # more pixels than levels, below which equalize does nothing.
    image = (draw.integers(60, 180, (1, 24, 24, channels)) / 255.0).astype(np.float32)
    images = jnp.broadcast_to(jnp.asarray(image), (len(OPERATIONS), 24, 24, channels))
    choices = jnp.arange(len(OPERATIONS))
    signs = jnp.ones(len(OPERATIONS))
    compiled = jax.jit(apply_operations)
    none, strong = (compiled(images, choices, signs, m) for m in (0.0, 1.0))
    unlike = {"autocontrast", "equalize"}  # these have no strength
    for index, name in enumerate(OPERATIONS):
        if name not in unlike:
            np.testing.assert_allclose(none[index], image[0], atol=1e-5, err_msg=name)
        changes = name != "identity" and not (name == "saturation" and channels == 1)
        assert np.allclose(strong[index], image[0], atol=1e-3) != changes, name
        assert strong[index].min() >= -1e-6, name
        assert strong[index].max() <= 1 + 1e-6, name


def test_randaugment_draws_an_operation_for_each_image(rng):
    image = jax.random.uniform(rng, (1, 8, 8, 3))
    draw = jax.jit(functools.partial(randaugment, num_layers=1, magnitude=15.0))
    results = draw(rng, jnp.tile(image, (32, 1, 1, 1)))
    kinds = {np.asarray(r).round(4).tobytes() for r in results}
    # 13 operations that change an image, most of them with two signs.
    assert 10 < len(kinds) <= 24
