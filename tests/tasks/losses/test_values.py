"""Losses of segmentation by numbers worked out by hand on a few pixels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.tasks.losses import LOSSES
from cnnlab.tasks.losses._boundary import near_another


def compiled(name):
    """A loss as one program: compiling each of its operations alone takes longer."""
    return lambda logits, labels, **options: jax.jit(functools.partial(LOSSES[name], **options))(
        logits, labels
    )


boundary, cross_entropy, dice, focal, jaccard, lovasz, tversky = map(
    compiled, ("boundary", "cross_entropy", "dice", "focal", "jaccard", "lovasz", "tversky")
)

# One image of three pixels, one of each class: right, wrong but second, wrong and last.
P = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]])
LOGITS = jnp.log(jnp.asarray(P, jnp.float32))[None, None]
LABELS = jnp.array([[[0, 1, 2]]], jnp.uint8)
# Of each class: true positives, false positives, false negatives.
HITS, FALSE, MISSED = np.array([[0.7, 0.3, 0.1], [1.1, 0.5, 0.3], [0.3, 0.7, 0.9]])
NLL = -np.log([0.7, 0.3, 0.1])


def close(actual, expected):
    np.testing.assert_allclose(actual, np.reshape(expected, -1), rtol=2e-6)


def test_cross_entropy():
    close(cross_entropy(LOGITS, LABELS), NLL.mean())
    close(cross_entropy(LOGITS, LABELS.at[0, 0, 2].set(255)), NLL[:2].mean())
    # Factors: not divided by their sum.
    close(cross_entropy(LOGITS, LABELS, class_weights=(1, 2, 0)), (NLL[0] + 2 * NLL[1]) / 3)


def test_cross_entropy_smoothed():
    smoothed = 0.7 * NLL - 0.1 * np.log(P).sum(-1)
    close(cross_entropy(LOGITS, LABELS, label_smoothing=0.3), smoothed.mean())
    one = cross_entropy(LOGITS, LABELS.at[0, 0, :2].set(255), label_smoothing=0.3)
    close(one, smoothed[2])


def test_cross_entropy_of_one_logit():
    logits = jnp.array([[[[0.0], [jnp.log(3.0)], [jnp.log(3.0)]]]])
    labels = jnp.array([[[1, 1, 0]]])
    close(cross_entropy(logits, labels), -np.log([0.5, 0.75, 0.25]).mean())
    weighted = cross_entropy(logits, labels, class_weights=(3.0, 1.0))
    close(weighted, -(np.log(0.5) + np.log(0.75) + 3 * np.log(0.25)) / 3)
    smoothed = cross_entropy(logits[:, :, 1:2], labels[:, :, 1:2], label_smoothing=0.2)
    close(smoothed, -(0.9 * np.log(0.75) + 0.1 * np.log(0.25)))


def test_focal():
    close(focal(LOGITS, LABELS), np.mean([0.3**2, 0.7**2, 0.9**2] * NLL))
    close(focal(LOGITS, LABELS, gamma=0.0), NLL.mean())
    close(focal(LOGITS, LABELS, gamma=0.5), np.mean(np.sqrt([0.3, 0.7, 0.9]) * NLL))
    logits = jnp.array([[[[0.0], [jnp.log(3.0)]]]])
    expected = (0.25 * 0.5**2 * -np.log(0.5) + 0.75 * 0.75**2 * -np.log(0.25)) / 2
    close(focal(logits, jnp.array([[[1, 0]]]), alpha=0.25), expected)


def test_focal_alpha_is_for_two_classes():
    with pytest.raises(UserError, match=r"alpha=0\.25 balances two classes, and there are 3"):
        focal(LOGITS, LABELS, alpha=0.25)


def test_dice():
    close(dice(LOGITS, LABELS, smooth=0.0), np.mean([1 / 2, 2 / 3, 6 / 7]))
    scores = (2 * HITS + 2) / (2 * HITS + FALSE + MISSED + 2)
    close(dice(LOGITS, LABELS), np.mean(1 - scores))
    weighted = dice(LOGITS, LABELS, smooth=0.0, class_weights=(0.0, 1.0, 3.0))
    close(weighted, (2 / 3 + 3 * 6 / 7) / 4)


def test_jaccard():
    close(jaccard(LOGITS, LABELS, smooth=0.0), np.mean([2 / 3, 4 / 5, 12 / 13]))
    close(jaccard(LOGITS, LABELS, smooth=2.0), np.mean([1.4 / 4.1, 1.2 / 3.5, 1.2 / 3.3]))


def test_tversky():
    scores = HITS / (HITS + 0.2 * FALSE + 0.9 * MISSED)
    options = {"alpha": 0.2, "beta": 0.9, "smooth": 0.0}
    close(tversky(LOGITS, LABELS, **options), np.mean(1 - scores))
    focal_scores = np.mean((1 - scores) ** 0.75)
    close(tversky(LOGITS, LABELS, **options, gamma=4 / 3), focal_scores)
    with pytest.raises(UserError, match=r"gamma=0\.0 must be greater than 0"):
        tversky(LOGITS, LABELS, gamma=0.0)


@pytest.mark.parametrize("loss", [dice, jaccard])
def test_class_that_the_image_lacks(loss):
    """Pixels of class 0 only: with smoothing, the others' shares are costs of their own."""
    labels = jnp.zeros_like(LABELS)
    factor = 0.5 if loss is dice else 1.0
    hits, missed = 0.7 + 0.5 + 0.6, 0.3 + 0.5 + 0.4
    own = factor * missed / (hits + factor * missed)
    close(loss(LOGITS, labels, smooth=0.0), own)
    costs = factor * np.array([missed, 0.2 + 0.3 + 0.3, 0.1 + 0.2 + 0.1])
    close(loss(LOGITS, labels), np.mean(costs / (np.array([hits, 0, 0]) + costs + 1)))


def test_dice_of_one_logit_is_of_the_foreground():
    logits = jnp.array([[[[0.0], [jnp.log(3.0)], [jnp.log(3.0)]]]])
    close(dice(logits, jnp.array([[[1, 1, 0]]]), smooth=0.0), 1 - 2.5 / (2 + 2))
    # None in the image: 1 - 1 / (half of what is predicted + 1).
    close(dice(logits, jnp.zeros((1, 1, 3), int)), 1 - 1 / 2)
    close(dice(logits, jnp.zeros((1, 1, 3), int), smooth=0.0), 0.0)


def test_lovasz_softmax():
    # Class 0: errors 0.6, 0.5 and, of its own pixel, 0.3; the loss grows to 1/2, 2/3, 1. Classes
    # 1 and 2: the largest error is that of their only pixel, and takes the loss to 1.
    first = 0.6 / 2 + 0.5 / 6 + 0.3 / 3
    close(lovasz(LOGITS, LABELS), (first + 0.7 + 0.9) / 3)
    close(lovasz(LOGITS, LABELS, class_weights=(2.0, 1.0, 1.0)), (2 * first + 0.7 + 0.9) / 4)
    # Without the second pixel, class 1 is not in the image.
    close(lovasz(LOGITS, LABELS.at[0, 0, 1].set(255)), (0.6 / 2 + 0.3 / 2 + 0.9) / 2)


def test_lovasz_hinge():
    logits = jnp.array([[[[2.0], [-0.5], [0.25]]]])
    # Errors 0, 1.5, 1.25; the loss grows to 1/2 by a missed pixel, 2/3 by a false one.
    close(lovasz(logits, jnp.array([[[1, 1, 0]]])), 1.5 / 2 + 1.25 / 6)
    # No foreground: one false pixel is all there is to be wrong.
    close(lovasz(logits, jnp.zeros((1, 1, 3), int)), 3.0)


def test_boundary():
    logits = jnp.log(jnp.asarray(P[[0, 0, 0, 1, 1]], jnp.float32))[None, None]
    labels = jnp.array([[[0, 0, 0, 1, 1]]])
    losses = -np.log([0.7, 0.7, 0.7, 0.3, 0.3])
    close(boundary(logits, labels, width=1), np.mean([1, 1, 5, 5, 1] * losses))
    wide = boundary(logits, labels, width=2, extra=1.0, class_weights=(1.0, 3.0, 1.0))
    close(wide, np.mean([1, 2, 2, 6, 6] * losses))
    given = jnp.array([[[0.0, 1.0, 2.0, 3.0, 4.0]]])
    close(boundary(logits, labels, weight=given), np.mean([0, 1, 2, 3, 4] * losses))
    ignored = labels.at[0, 0, 3].set(255)
    close(boundary(logits, ignored, width=1), np.mean(losses[[0, 1, 2, 4]]))


@pytest.mark.parametrize("distance", [0, 1, 3])
def test_near_another(distance):
    labels = np.random.default_rng(0).choice(3, (2, 9, 11), p=[0.9, 0.05, 0.05]).astype(np.uint8)
    labels[0, 2:5, 3:6] = 255
    near = near_another(jnp.asarray(labels), distance)
    for batch, row, column in np.ndindex(labels.shape):
        top, left = max(row - distance, 0), max(column - distance, 0)
        window = labels[batch, top : row + distance + 1, left : column + distance + 1]
        others = set(window.flat) - {255, labels[batch, row, column]}
        own = labels[batch, row, column]
        assert near[batch, row, column] == (own != 255 and bool(others))


def test_volumes(rng):
    """One more axis: the same numbers as of an image with as many pixels."""
    logits = jax.random.normal(rng, (2, 3, 4, 5, 3))
    labels = jax.random.randint(rng, (2, 3, 4, 5), 0, 3)
    for loss in (cross_entropy, dice, lovasz):
        flat = loss(logits.reshape(2, 12, 5, 3), labels.reshape(2, 12, 5))
        np.testing.assert_allclose(loss(logits, labels), flat, rtol=1e-6)
    assert boundary(logits, labels).shape == (2,)
