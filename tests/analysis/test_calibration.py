"""Calibration: a worked example, a second formula, and what temperature scaling must do."""

import numpy as np
import pytest
from scipy import special

from cnnlab.analysis.evaluation.calibration import apply_temperature, fit_temperature, reliability


def random_problem(sharpness, examples=2000, classes=5, seed=0):
    """Labels drawn from probabilities, and these probabilities made sharper than they are."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (examples, classes))
    true = special.softmax(logits, axis=1)
    labels = (true.cumsum(axis=1) < rng.uniform(size=(examples, 1))).sum(axis=1)
    return special.softmax(sharpness * logits, axis=1).astype(np.float32), labels


def test_worked_example():
    """Confidences 0.9, 0.8 (right), 0.6 (wrong), 0.3 (right), in four bins."""
    probabilities = np.array(
        [[0.9, 0.1, 0, 0], [0.1, 0.8, 0.1, 0], [0.6, 0.4, 0, 0], [0.25, 0.25, 0.2, 0.3]]
    )
    found = reliability(probabilities, np.array([0, 1, 1, 3]), bins=4)
    np.testing.assert_array_equal(found.counts, [0, 1, 1, 2])
    np.testing.assert_allclose(found.confidence, [np.nan, 0.3, 0.6, 0.85])
    np.testing.assert_allclose(found.accuracy, [np.nan, 1.0, 0.0, 1.0])
    assert found.ece == pytest.approx((0.7 + 0.6 + 2 * 0.15) / 4)
    assert found.mce == pytest.approx(0.7)
    assert found.nll == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.3]).mean())
    squares = [0.01 + 0.01, 0.01 + 0.04 + 0.01, 0.36 + 0.36, 0.0625 + 0.0625 + 0.04 + 0.49]
    assert found.brier == pytest.approx(np.mean(squares))


def test_against_a_second_formula():
    probabilities, labels = random_problem(sharpness=1.7)
    found = reliability(probabilities, labels, bins=10)
    confidence, chosen = probabilities.max(1).astype(np.float64), probabilities.argmax(1)
    ece = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence > low) & (confidence <= low + 0.1 + 1e-12)
        ece += abs((chosen[inside] == labels[inside]).sum() - confidence[inside].sum())
    assert found.ece == pytest.approx(ece / len(labels), rel=1e-6)
    assert found.counts.sum() == len(labels)


def test_edges_belong_to_the_bin_below():
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_array_equal(
        reliability(probabilities, np.array([0, 0]), bins=2).counts, [1, 1]
    )


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(sharpness):
    probabilities, labels = random_problem(sharpness)
    temperature = fit_temperature(probabilities, labels)
    assert temperature == pytest.approx(sharpness, rel=0.1)
    scaled = apply_temperature(probabilities, temperature)
    np.testing.assert_allclose(scaled.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(scaled.argmax(1), probabilities.argmax(1))
    before, after = (reliability(p, labels) for p in (probabilities, scaled))
    assert after.nll <= before.nll
    if sharpness != 1.0:
        assert after.ece < before.ece / 2
    for other in (0.95, 1.05):  # no neighbour is more likely
        assert (
            reliability(apply_temperature(probabilities, other * temperature), labels).nll
            > after.nll
        )


def test_certain_and_wrong():
    """A probability of 0 for the truth costs much, but not infinitely much."""
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    labels = np.array([0, 1, 1])
    assert np.isfinite(reliability(probabilities, labels).nll)
    assert fit_temperature(probabilities, labels) > 5
    unsure = np.array([[0.6, 0.4], [0.4, 0.6]])
    assert fit_temperature(unsure, np.array([0, 1])) is None  # all right: it could not be too sure
    with pytest.raises(ValueError, match="no example"):
        reliability(np.zeros((0, 2)), np.zeros(0, int))
