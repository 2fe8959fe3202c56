"""Corruptions, what they do to images and label maps, and to the scores of runs."""

import numpy as np
import pytest

from cnnlab.analysis.evaluation.corruptions import CORRUPTIONS, Corrupted, shift
from cnnlab.analysis.evaluation.robustness import robustness
from cnnlab.analysis.evaluation.shift_consistency import (
    consistency,
    consistency_map,
    shifted_classes,
)
from cnnlab.data import ArraySource, load
from cnnlab.errors import UserError


def test_shift_by_hand():
    image = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)[:, :, None]
    moved = shift(image, 1, -1, fill=0)[..., 0]
    np.testing.assert_array_equal(moved, [[0, 0, 0], [2, 3, 0], [5, 6, 0]])
    np.testing.assert_array_equal(shift(image, 0, 0), image)
    assert (shift(image, 3, 0, fill=7) == 7).all()
    assert (shift(image, 0, -5, fill=7) == 7).all()


def test_shift_fills_with_the_border():
    """Each image and each channel with its own, also where a stroke crosses the border."""
    images = np.zeros((2, 9, 9, 2), np.uint8)
    images[0, ..., 1] = 50
    images[0, :, 4] = 255  # the stroke
    images[1] = 200
    moved = shift(images, 2, 0)
    np.testing.assert_array_equal(moved[0, 0, 0], [0, 50])
    assert (moved[1] == 200).all()
    np.testing.assert_array_equal(moved[0, 2:], images[0, :-2])


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruptions(kind, digits):
    source = digits.take(np.arange(20))
    severities = CORRUPTIONS[kind].severities
    assert severities[0] == 0
    assert list(severities) == sorted(severities)
    distances = []
    for severity in severities:
        worse = Corrupted(source, kind, severity)
        assert len(worse) == 20
        images = np.stack([worse[i]["image"] for i in range(20)])
        assert images.dtype == np.uint8
        assert [worse[i]["label"] for i in range(20)] == source.labels.tolist()
        again = np.stack([worse[i]["image"] for i in range(20)])
        np.testing.assert_array_equal(images, again)
        distances.append(np.abs(images.astype(float) - source.images).mean())
    assert distances[0] == 0
    assert (np.diff(distances) >= -0.2).all()
    assert distances[-1] > 10


def test_corruptions_by_number():
    image = np.tile(np.array([[100], [200]], np.uint8), (8, 16))[None, ..., None]
    source = ArraySource(image, np.array([0]))
    faint = Corrupted(source, "contrast", 0.5)[0]["image"]
    np.testing.assert_array_equal(np.unique(faint), [125, 175])
    black = ArraySource(np.full((1, 64, 64, 1), 128, np.uint8), np.array([0]))
    noisy = Corrupted(black, "noise", 0.1)[0]["image"].astype(float)
    assert noisy.std() == pytest.approx(25.5, rel=0.1)
    point = np.zeros((1, 50, 50, 1), np.uint8)
    point[0, 25, 25] = 255
    blurred = Corrupted(ArraySource(point, np.array([0])), "blur", 0.02)[0]["image"]
    assert blurred[25, 25, 0] == pytest.approx(255 / (2 * np.pi), abs=2)  # sigma is one pixel


def test_unknown_corruption(digits):
    with pytest.raises(UserError, match="Did you mean 'blur'"):
        Corrupted(digits, "blurr", 0.1)


def test_label_maps_are_shifted_with_their_images():
    labels = np.random.default_rng(0).integers(0, 200, (5, 20, 20)).astype(np.uint8)
    source = ArraySource(labels[..., None], labels)
    for index in range(5):
        worse = Corrupted(source, "shift", 0.2)[index]
        image, label = worse["image"][..., 0], worse["label"]
        came_in = label == 255
        assert 0 < came_in.mean() < 0.5
        np.testing.assert_array_equal(image[~came_in], label[~came_in])
        np.testing.assert_array_equal(
            Corrupted(source, "noise", 0.2)[index]["label"], labels[index]
        )


@pytest.mark.parametrize("which", ["lenet", "hog", "unet"])
def test_robustness(which, request):
    run = request.getfixturevalue(which)
    if which == "unet":
        source, metric, kinds = request.getfixturevalue("scenes"), "miou", ["shift"]
    else:
        size = run.info.image_shape[0]
        source = load("digits", image_size=size).splits["test"]
        metric, kinds = "accuracy", ["noise", "contrast"] if which == "lenet" else ["noise"]
    source = source.take(np.arange(100))
    curves = robustness(run, source, metric, kinds=kinds)
    assert list(curves) == kinds
    clean = run.task.finalize(run.sums(source))[metric]
    for kind, curve in curves.items():
        assert curve.severities.tolist() == list(CORRUPTIONS[kind].severities)
        assert curve.scores[0] == pytest.approx(clean)
        if which != "unet":
            assert curve.scores[-1] < clean - 0.1


def test_consistency_by_hand():
    """Image 0 keeps its class under 9 shifts; image 1 has one class for six, another for three."""
    classes = np.array([[[0, 0, 0]] * 3, [[1, 1, 1], [1, 1, 1], [2, 2, 2]]])
    pairs = (9 * 8 + 6 * 5 + 3 * 2) / (2 * 9 * 8)
    assert consistency(classes) == pytest.approx(pairs)
    expected = np.array([[1, 1, 1], [1, 1, 1], [0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(consistency_map(classes), expected)
    with pytest.raises(ValueError, match="no other"):
        consistency(classes[:, :1, :1])


def test_consistency_against_drawn_pairs():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, (40, 5, 5))
    flat = classes.reshape(40, 25)
    agree = [flat[:, i] == flat[:, j] for i in range(25) for j in range(25) if i != j]
    assert consistency(classes) == pytest.approx(np.mean(agree))


def test_shifted_classes():
    """A function that tells where the brightest pixel is, as its class."""
    image = np.zeros((1, 7, 7, 1), np.uint8)
    image[0, 3, 3] = 255
    classes = shifted_classes(lambda x: x.reshape(1, -1), image, max_shift=1)
    np.testing.assert_array_equal(classes[0], [[16, 17, 18], [23, 24, 25], [30, 31, 32]])


def test_shift_consistency_of_a_run(lenet, digits):
    images = digits.images[:50]
    classes = shifted_classes(lenet.probabilities, images, max_shift=2)
    assert classes.shape == (50, 5, 5)
    np.testing.assert_array_equal(classes[:, 2, 2], lenet.probabilities(images).argmax(-1))
    found = consistency_map(classes)
    assert found[2, 2] == 1.0
    assert found[2, 1:4].mean() > found[::4, ::4].mean()  # farther shifts keep fewer
    assert 0.2 < consistency(classes) < 1.0
