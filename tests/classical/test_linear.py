"""The linear classifier: scaling undone, absent classes, two classes, damaged files."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cnnlab.classical.linear import Linear, fit_linear, standardize
from cnnlab.errors import UserError

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(3, 5)) * 2


def points(classes, count=90):
    labels = np.asarray(classes)[np.arange(count) % len(classes)]
    noise = RNG.normal(size=(count, 5))
    return (CENTRES[labels] + noise).astype(np.float32), labels


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def test_standardize_is_sklearns_and_keeps_constant_columns_finite():
    features, _ = points((0, 1, 2))
    features[:, 2] = 0.3
    expected = StandardScaler().fit_transform(features.astype(np.float64))
    mean, scale = standardize(features)
    assert scale[2] == 1.0
    assert mean[2] == pytest.approx(0.3)
    varying = [0, 1, 3, 4]
    np.testing.assert_allclose(features[:, varying], expected[:, varying], atol=1e-5)
    assert np.abs(features[:, 2]).max() < 1e-6


def test_probabilities_are_sklearns_before_and_after_scaling_is_undone():
    raw, labels = points((0, 1, 2))
    features = raw.copy()
    mean, scale = standardize(features)
    scaled = fit_linear(features, labels, num_classes=3, C=0.1, max_iterations=100)
    peer = LogisticRegression(C=0.1).fit(features, labels)
    np.testing.assert_allclose(
        softmax(scaled.logits(features)), peer.predict_proba(features), atol=1e-4
    )
    np.testing.assert_allclose(
        scaled.of_unscaled(mean, scale).logits(raw), scaled.logits(features), atol=1e-4
    )


def test_two_classes_of_four():
    """scikit-learn keeps one score for two classes; classes without examples get probability 0."""
    features, labels = points((0, 2))
    linear = fit_linear(features, labels, num_classes=4, C=1.0, max_iterations=100)
    peer = LogisticRegression(C=1.0).fit(features, labels)
    probabilities = softmax(linear.logits(features))
    np.testing.assert_allclose(probabilities[:, [0, 2]], peer.predict_proba(features), atol=1e-4)
    assert (probabilities[:, [1, 3]] == 0).all()


def test_one_class():
    features, labels = points((1,))
    with pytest.raises(UserError, match="at least two classes"):
        fit_linear(features, labels, num_classes=3, C=1.0, max_iterations=100)


@pytest.fixture
def saved(tmp_path):
    linear = Linear(RNG.normal(size=(40, 3)).astype(np.float32), np.ones(3, np.float32), 7)
    linear.save(tmp_path / "weights.npz")
    return linear, tmp_path / "weights.npz"


def test_save_and_load(saved):
    linear, path = saved
    loaded = Linear.load(path, (40, 3))
    np.testing.assert_array_equal(loaded.weights, linear.weights)
    np.testing.assert_array_equal(loaded.bias, linear.bias)
    assert loaded.step == 7
    assert [p.name for p in path.parent.iterdir()] == ["weights.npz"]


def test_a_flipped_bit_anywhere_in_the_weights_is_noticed(saved):
    _, path = saved
    content = path.read_bytes()
    data = content.index(b"\x93NUMPY") + 128
    for position in range(data, data + 40 * 3 * 4, 37):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"weights\.npz is damaged"):
            Linear.load(path, (40, 3))


def test_cut_short_missing_and_of_another_shape(saved):
    _, path = saved
    with pytest.raises(UserError, match=r"holds weights \[40, 3\].*\[41, 3\]"):
        Linear.load(path, (41, 3))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="is damaged"):
        Linear.load(path, (40, 3))
    path.write_bytes(b"")
    with pytest.raises(UserError, match="is damaged"):
        Linear.load(path, (40, 3))
    path.unlink()
    with pytest.raises(UserError, match="is missing: the run was not fitted to its end"):
        Linear.load(path, (40, 3))
