"""Predictions of a split, mistakes, confusions and maps of examples."""

import numpy as np
import pytest

from cnnlab.analysis.embedding import embed, pca, tsne
from cnnlab.analysis.evaluation.confusion import most_confused
from cnnlab.analysis.evaluation.predictions import (
    Predictions,
    most_confident,
    predict_source,
    spread_over,
    wrong_pixels,
)
from cnnlab.data import ArraySource, load
from cnnlab.errors import UserError


def test_predictions_agree_with_the_evaluation(lenet, digits):
    found = predict_source(lenet, digits)
    assert found.probabilities.shape == (len(digits), 10)
    np.testing.assert_array_equal(found.labels, digits.labels)
    sums = lenet.sums(digits)
    assert (found.probabilities.argmax(1) == found.labels).sum() == sums["correct"]
    few = predict_source(lenet, digits.take(np.arange(7)))
    np.testing.assert_allclose(few.probabilities, found.probabilities[:7], rtol=1e-4, atol=1e-6)


def test_predictions_of_a_baseline(hog):
    source = load("digits", image_size=16).splits["test"].take(np.arange(5))
    found = predict_source(hog, source)
    np.testing.assert_allclose(found.probabilities.sum(1), 1.0, rtol=1e-5)


def test_wrong_pixels(unet, scenes):
    shares = wrong_pixels(unet, scenes)
    sums = unet.sums(scenes)
    wrong = 1 - np.trace(sums["confusion"]) / sums["pixels"]
    assert shares.mean() == pytest.approx(wrong)  # all images have as many pixels
    ignored = ArraySource(scenes.images[:2], np.full((2, 16, 16), 255, np.uint8))
    np.testing.assert_array_equal(wrong_pixels(unet, ignored), [0.0, 0.0])


def test_most_confident():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    found = Predictions(probabilities, np.array([0, 0, 0, 1]))
    np.testing.assert_array_equal(most_confident(found, 9), [2, 3, 1])
    np.testing.assert_array_equal(most_confident(found, 1), [2])
    np.testing.assert_array_equal(most_confident(found, 9, right=True), [0])


def test_spread_over(digits):
    assert spread_over(digits, None) is digits
    assert spread_over(digits, 10_000) is digits
    few = spread_over(digits, 3)
    third = len(digits) / 3
    np.testing.assert_array_equal(few.labels, digits.labels[[0, int(third), int(2 * third)]])


def test_most_confused():
    confusion = np.array([[90, 5, 0], [7, 80, 1], [0, 0, 60]])
    assert most_confused(confusion, 2) == [(1, 0, 7), (0, 1, 5)]
    assert len(most_confused(confusion, 9)) == 3
    np.testing.assert_array_equal(np.diag(confusion), [90, 80, 60])  # left as it was


def test_embedding_and_its_maps(lenet, digits):
    source = digits.take(np.arange(100))
    features, labels = embed(lenet, source)
    assert features.shape == (100, 84)
    np.testing.assert_array_equal(labels, source.labels)
    positions, shares = pca(features)
    assert positions.shape == (100, 2)
    variances = np.linalg.svd(features - features.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(shares, variances[:2] / variances.sum(), rtol=1e-3)
    first, again = (tsne(features, seed=0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    distances = np.linalg.norm(first[:, None] - first, axis=-1)
    np.fill_diagonal(distances, np.inf)
    # Neighbours are of the same class far more often than the tenth that chance would give.
    assert (labels[distances.argmin(1)] == labels).mean() > 0.6
    with pytest.raises(UserError, match="at least 4 examples, and there are 3"):
        tsne(features[:3])
