"""Mixing of images and targets: what is mixed, by how much, and that targets say the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.augment import cutmix, cutout, mixup


@pytest.fixture
def batch():
    """Eight constant images, image i of value i, with target i."""
    images = jnp.broadcast_to(jnp.arange(8.0)[:, None, None, None], (8, 10, 12, 3))
    return images, jnp.eye(8)


@pytest.mark.parametrize("seed", range(4))
def test_mixup_blends_images_as_it_blends_targets(batch, seed):
    images, target = batch
    mixed, soft = mixup(jax.random.key(seed), images, target, 0.4)
    np.testing.assert_allclose(soft.sum(-1), 1.0, atol=1e-6)
    # The value of a constant image is the mean of its sources' values under its target.
    np.testing.assert_allclose(mixed[:, 3, 5, 0], soft @ jnp.arange(8.0), rtol=1e-5, atol=1e-6)
    assert (soft > 0).sum(-1).max() <= 2


@pytest.mark.parametrize("seed", range(4))
def test_cutmix_counts_exactly_the_pasted_area(batch, seed):
    images, target = batch
    mixed, soft = cutmix(jax.random.key(seed), images, target, 1.0)
    np.testing.assert_allclose(soft.sum(-1), 1.0, atol=1e-6)
    for index in range(8):
        for source in range(8):
            share = np.mean(np.asarray(mixed[index]) == source)
            np.testing.assert_allclose(soft[index, source], share, atol=1e-6)


def test_the_pasted_part_is_one_box(batch):
    images, target = batch
    mixed, _ = cutmix(jax.random.key(1), images, target, 1.0)
    changed = np.asarray(mixed != images).any((0, 3))
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert changed.any()
    assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


def test_mixing_weights_follow_the_beta_distribution(batch):
    images, target = batch
    keys = jax.random.split(jax.random.key(0), 500)
    soft = jax.vmap(lambda key: mixup(key, images[:, :1, :1], target, 1.0)[1])(keys)
    # Beta(1, 1) is uniform: the weight of image 0 itself, where another was mixed in.
    weights = np.asarray(soft[:, 0, 0])
    weights = weights[weights < 1.0]
    assert abs(weights.mean() - 0.5) < 0.05
    assert abs(weights.std() - np.sqrt(1 / 12)) < 0.03


def test_cutout_clears_one_square_of_each_image():
    images = jnp.ones((64, 20, 20, 2))
    holes = np.asarray(cutout(jax.random.key(0), images, 6) == 0).all(-1)
    places = set()
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert 3 <= len(rows) <= 6  # the center is inside, so at least half of it is
        assert 3 <= len(columns) <= 6
        assert hole.sum() == len(rows) * len(columns)
        places.add((rows[0], columns[0]))
    assert len(places) > 30
